-- Rails to real providers, and what was said to them.

-- name: add_rail
-- A new rail, or the one of that name with other settings; it stays on its account. The account becomes the merchant's
-- with it, unless it is another's or the name stands for another account: then nothing changes, and no row comes back.
with owned as (
    insert into provider_accounts (connector, account, merchant_id)
    select $4, $3, $1 where not exists (
        select from rails where merchant_id = $1 and name = $2 and (account <> $3 or connector <> $4))
    on conflict (connector, account) do update set account = excluded.account
    returning merchant_id),
added as (
    insert into rails (merchant_id, name, account, connector, settings, sealed, created_at)
    select $1, $2, $3, $4, $5, $6, business_now() from owned where owned.merchant_id = $1
    on conflict (merchant_id, name) do update
        set settings = excluded.settings, sealed = excluded.sealed, removed_at = null
        where rails.account = excluded.account and rails.connector = excluded.connector
    returning merchant_id, name),
addressed as (
    insert into hooks (merchant_id, rail) select merchant_id, name from added on conflict (merchant_id, rail) do nothing)
select name from added;

-- name: account_owner
-- Whose a provider account is.
select merchant_id from provider_accounts where connector = $1 and account = $2;

-- name: list_rails
-- Rails that are in use, of one merchant or of all.
select merchant_id, name, connector, account, settings, sealed, look_only_since from rails
where removed_at is null and ($1::uuid is null or merchant_id = $1) order by merchant_id, name;

-- name: list_hooks
-- Where the providers of a merchant's rails send their notifications.
select h.rail, h.token from hooks h join rails r on r.merchant_id = h.merchant_id and r.name = h.rail
where h.merchant_id = $1 and r.removed_at is null order by h.rail;

-- name: list_removed_rails
-- Rails that were taken out of use.
select merchant_id, name from rails where removed_at is not null;

-- name: lock_rail
-- Waits for admissions under way on a rail, and lets none begin: each holds the row until its commit.
select name from rails where merchant_id = $1 and name = $2 and removed_at is null for no key update;

-- name: remove_rail
-- Takes a locked rail out of use; refused while a refund on it has not ended.
update rails r set removed_at = business_now()
where merchant_id = $1 and name = $2 and removed_at is null
  and not exists (select from refunds f where f.merchant_id = r.merchant_id and f.rail = r.name and f.ended_at is null)
returning name;

-- name: add_exchange
-- One exchange with a provider, scrubbed.
insert into exchanges (merchant_id, id, rail, payment_id, at, method, path, request, status, response, failure)
values ($1, $2, $3, $4, business_now(), $5, $6, $7, $8, $9, $10);

-- name: exchanges_of_payment
-- What was said about a payment, oldest first.
select at, rail, method, path, request, status, response, failure from exchanges
where merchant_id = $1 and payment_id = $2 order by at, id limit $3;
