-- Who may come in: merchants and their credentials. Secrets are kept as hashes only.

-- name: add_merchant
-- A new tenant, whose event log is followed from its beginning.
with added as (
    insert into merchants (merchant_id, name, created_at) values ($1, $2, business_now()) returning merchant_id
)
insert into followers (merchant_id, epoch) select merchant_id, (select epoch from cell) from added;

-- name: read_merchant
-- A tenant, if there is one of that id.
select merchant_id, name from merchants where merchant_id = $1;

-- name: add_credential
-- A native key or a dialect's credential; its look-up is unique per dialect.
insert into credentials (merchant_id, id, dialect, lookup, secret_hash, name, scopes, profile, sealed, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, business_now());

-- name: put_credential
-- A credential that somebody else gave out; the merchant's own of that look-up gets this secret and profile. No row when
-- it is another merchant's.
insert into credentials (merchant_id, id, dialect, lookup, secret_hash, name, scopes, profile, sealed, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, business_now())
on conflict (dialect, lookup) do update
    set secret_hash = excluded.secret_hash, name = excluded.name, profile = excluded.profile, revoked_at = null,
        sealed = excluded.sealed
    where credentials.merchant_id = excluded.merchant_id
returning id;

-- name: seal_credential
-- A credential's secret, sealed under the master key there is now.
update credentials set sealed = $4 where merchant_id = $1 and dialect = $2 and lookup = $3;

-- name: list_credentials
-- A merchant's credentials without anything secret, oldest first.
select id, dialect, name, scopes, created_at, revoked_at from credentials
where merchant_id = $1 and ($2::text is null or dialect = $2) order by created_at, id;

-- name: revoke_credential
-- Ends a credential for good.
update credentials set revoked_at = business_now()
where merchant_id = $1 and id = $2 and revoked_at is null returning id;

-- name: allow_clock
-- Makes business time movable: in a sandbox or twin only.
update clock set movable = true where not movable;

-- name: advance_clock
-- Moves business time forward for all processes at once; a constraint holds it still outside sandbox and twin.
update clock set ahead = ahead + $1::interval where movable returning clock_timestamp() + ahead;
