-- Reads beside the engine's port: look-ups by a dialect's ids, lists, and what hangs on a refund or payment.
-- A list is completed with the filters that were asked for, each written so that an index serves it.

-- name: find_payment
-- A payment by the id its dialect gave out.
select {payment_columns} from payments where merchant_id = $1 and dialect = $2 and dialect_id = $3;

-- name: find_refund
-- A refund by the id its dialect gave out.
select {refund_columns} from refunds where merchant_id = $1 and dialect = $2 and dialect_id = $3;

-- name: find_refund_alias
-- A refund by the id its provider gave it; the newest, should two providers have given the same one.
select {refund_columns} from refunds
where merchant_id = $1 and dialect = $2 and provider_id = $3 order by created_at desc, id desc limit 1;

-- name: refunds_of
-- All refunds of a payment, oldest first.
select {refund_columns} from refunds where merchant_id = $1 and payment_id = $2 order by created_at, id;

-- name: refunds_of_group
-- The legs of an order refund, oldest first.
select {refund_columns} from refunds where merchant_id = $1 and group_id = $2 order by created_at, id;

-- name: refunds_for_people
-- Refunds that somebody must answer for, longest waiting first.
select {refund_columns} from refunds
where merchant_id = $1 and human_since is not null order by human_since, id limit $2;

-- name: releases_for_people
-- Payments with a release that somebody must answer for, longest waiting first. The state is there for the index.
select {payment_columns} from payments
where merchant_id = $1 and details #>> '{document,release,state}' in ('sending', 'pending', 'unknown')
  and fence::text = details #>> '{document,release,id}'
  and details #>> '{document,release,human_since}' is not null
order by details #>> '{document,release,human_since}', id limit $2;

-- name: payments_of_order
-- The payments of an order, in the order in which they came in.
select {payment_columns} from payments
where merchant_id = $1 and dialect = $2 and order_ref = $3 order by created_at, id;

-- name: find_order
-- An order by its reference.
select merchant_id, id, dialect, reference, version, payments from orders
where merchant_id = $1 and dialect = $2 and reference = $3;

-- name: list_payments
-- A page of payments. What is skipped is read from the index alone.
select {payment_columns} from payments where merchant_id = $1 and id in (
    select id from payments where {filters} order by {order} limit {limit} offset {offset}
) order by {order};

-- name: list_refunds
-- A page of refunds. What is skipped is read from the index alone.
select {refund_columns} from refunds where merchant_id = $1 and id in (
    select id from refunds where {filters} order by {order} limit {limit} offset {offset}
) order by {order};

-- name: list_payments_matching
-- A page of payments whose document matches: all that do are found by it before they are put in order. Looked through
-- in the order of the list instead, the rarest would be found last.
select {payment_columns} from payments where merchant_id = $1 and id in (
    select id from (select id, created_at from payments where {filters} offset 0) as matching
    order by {order} limit {limit} offset {offset}
) order by {order};

-- name: list_refunds_matching
-- A page of refunds whose payment's document matches: all that do are found by it before they are put in order. Looked
-- through in the order of the list instead, the rarest would be found last.
select {refund_columns} from refunds where merchant_id = $1 and id in (
    select id from (select id, created_at from refunds where {filters} offset 0) as matching
    order by {order} limit {limit} offset {offset}
) order by {order};

-- name: count_payments
-- How many payments a list has.
select count(*) as total from payments where {filters};

-- name: count_refunds
-- How many refunds a list has.
select count(*) as total from refunds where {filters};

-- name: list_ranks
-- How many rows of a list come before a time ($3), how many up to another ($4), how many of those lie behind the last
-- milestone; and the milestones beside the place where a page begins ($5 rows in, oldest first where $6).
with before as materialized (
    select rank, created_at, id from list_milestones
    where merchant_id = $1 and list = $2 and created_at < coalesce($3::timestamptz, '-infinity')
    order by created_at desc, id desc limit 1
), until as materialized (
    select rank, created_at, id from list_milestones
    where merchant_id = $1 and list = $2 and created_at <= coalesce($4::timestamptz, 'infinity')
    order by created_at desc, id desc limit 1
), counted as materialized (
    select coalesce((select rank from before), 0) + (
        select count(*) from {table} where {filters} and created_at < coalesce($3::timestamptz, '-infinity')
        and (created_at, id) > (
            coalesce((select created_at from before), '-infinity'),
            coalesce((select id from before), '00000000-0000-0000-0000-000000000000')
        )
    ) as low, coalesce((select rank from until), 0) as passed, (
        select count(*) from {table} where {filters} and created_at <= coalesce($4::timestamptz, 'infinity')
        and (created_at, id) > (
            coalesce((select created_at from until), '-infinity'),
            coalesce((select id from until), '00000000-0000-0000-0000-000000000000')
        )
    ) as beyond
), milestone as materialized (
    (
        select rank, created_at, id from list_milestones
        where $6::boolean and merchant_id = $1 and list = $2 and rank <= (select low from counted) + $5::bigint
        order by rank desc limit 1
    ) union all (
        select rank, created_at, id from list_milestones
        where not $6::boolean and merchant_id = $1 and list = $2
          and rank >= (select passed + beyond from counted) - $5::bigint
        order by rank limit 1
    )
)
select low, passed + beyond as high, beyond, milestone.rank, milestone.created_at, milestone.id
from counted left join milestone on true;

-- name: place_milestones
-- Draws milestones of a list behind its last one, one every so many rows, up to a time before which no more rows come:
-- once every transaction has ended that may have read an earlier time. No row where one has not.
with settled as materialized (
    select pg_snapshot_xmin(pg_current_snapshot()) >= $4::text::xid8 as all_ended
), last as materialized (
    select rank, created_at, id from list_milestones where merchant_id = $1 and list = $2 order by rank desc limit 1
), drawn as (
    insert into list_milestones (merchant_id, list, rank, created_at, id)
    select $1, $2, coalesce((select rank from last), 0) + place, created_at, id from (
        select created_at, id, row_number() over (order by created_at, id) as place from {table}
        where {filters} and (select all_ended from settled) and created_at < $3
        and (created_at, id) > (
            coalesce((select created_at from last), '-infinity'),
            coalesce((select id from last), '00000000-0000-0000-0000-000000000000')
        )
        order by created_at, id limit $6
    ) numbered where place % $5 = 0
    on conflict do nothing
)
select all_ended from settled where all_ended;

-- name: read_settling
-- A time, and the transaction from which on every one reads a later time. Time is read first: the server heard of this
-- statement before it took the snapshot.
select statement_timestamp() + (select ahead from clock) - $1::interval as at,
       pg_snapshot_xmax(pg_current_snapshot())::text as xid;

-- name: void_milestones
-- Milestones that lie in the future: the clock was set back, and rows will come before them.
delete from list_milestones where merchant_id = $1 and list = $2 and created_at > business_now();

-- name: movements_of_account
-- A page of the movements of an account with a limit: one index for what left it, one for what reached it.
select {movement_columns} from movements where merchant_id = $1 and currency = $3 and id in (
    select id from (
        select id from movements where merchant_id = $1 and debit = $2 and debit like 'wallet/%' and currency = $3
        union all
        select id from movements where merchant_id = $1 and credit = $2 and credit like 'wallet/%' and currency = $3
    ) as either order by id {direction} offset $4 limit $5
) order by id {direction};

-- name: read_balance
-- What stands on an account with a limit.
select balance from accounts where merchant_id = $1 and name = $2 and currency = $3;

-- name: list_movements
-- A page of ledger movements with their numbers, oldest first.
select {movement_columns}, id as number from movements where {filters} order by id limit {limit};

-- name: attempts_of
-- Every attempt of a refund, oldest first.
select {attempt_columns} from attempts where merchant_id = $1 and refund_id = $2 order by generation;

-- name: evidence_of_refund
-- What was seen of a refund, oldest first.
select {evidence_columns} from evidence where merchant_id = $1 and refund_id = $2 order by at, id limit $3;

-- name: evidence_of_payment
-- What was seen of a payment and of its refunds, oldest first.
select {evidence_columns} from evidence where merchant_id = $1 and payment_id = $2 order by at, id limit $3;

-- name: externals_of
-- The refunds of a payment that were made elsewhere.
select {external_columns} from externals where merchant_id = $1 and payment_id = $2 order by at, provider_id;

-- name: disputes_of
-- The disputes of a payment.
select {dispute_columns} from disputes where merchant_id = $1 and payment_id = $2 order by updated_at, reference;

-- name: cases_of
-- The cases of a payment, closed ones too.
select {case_columns} from cases where merchant_id = $1 and payment_id = $2 order by number;

-- name: open_cases
-- The cases a merchant's people have not closed yet, oldest first.
select {case_columns} from cases where merchant_id = $1 and closed_at is null order by opened_at limit $2;

-- name: take_key
-- Uses an idempotency key up with an answer that admitted nothing; no row when it was used before.
insert into idempotency (merchant_id, dialect, key, fingerprint, status, answer, answer_due, created_at)
values ($1, $2, $3, $4, $5, $6, clock_timestamp(), business_now())
on conflict do nothing returning key;

-- name: load_document
-- A dialect's own object.
select data from documents where merchant_id = $1 and dialect = $2 and kind = $3 and id = $4;

-- name: save_document
-- Keeps a dialect's own object, replacing the one before; its place in the list stays.
insert into documents (merchant_id, dialect, kind, id, data, created_at, updated_at)
values ($1, $2, $3, $4, $5, business_now(), business_now())
on conflict (merchant_id, dialect, kind, id) do update set data = excluded.data, updated_at = excluded.updated_at;

-- name: drop_document
-- Removes a dialect's own object.
delete from documents where merchant_id = $1 and dialect = $2 and kind = $3 and id = $4 returning id;

-- name: list_documents
-- A dialect's objects by age. What is skipped is read from the index alone.
select data from documents where merchant_id = $1 and dialect = $2 and kind = $3 and number in (
    select number from documents where merchant_id = $1 and dialect = $2 and kind = $3
    order by number {direction} limit $4 offset $5
) order by number {direction};

-- name: list_documents_on
-- The same from far within, oldest first: from the last milestone that the page does not begin before.
with milestones as (
    select number, sum(since) over (order by number) as rank from document_milestones
    where merchant_id = $1 and dialect = $2 and kind = $3
), milestone as materialized (select number, rank from milestones where rank <= $5 order by number desc limit 1)
select data from documents where merchant_id = $1 and dialect = $2 and kind = $3 and number in (
    select number from documents
    where merchant_id = $1 and dialect = $2 and kind = $3 and number > coalesce((select number from milestone), 0)
    order by number limit $4 offset $5 - coalesce((select rank from milestone), 0)
) order by number;

-- name: list_documents_back
-- The same from far within, newest first: from the first milestone that the page does not begin behind.
with milestones as (
    select number, sum(since) over (order by number) as rank from document_milestones
    where merchant_id = $1 and dialect = $2 and kind = $3
), ends as (select max(number) as number, max(rank) as rank from milestones), whole as materialized (
    select coalesce((select rank from ends), 0) + count(*) as total from documents
    where merchant_id = $1 and dialect = $2 and kind = $3 and number > coalesce((select number from ends), 0)
), milestone as materialized (
    select number, rank - (select total from whole) as beyond from milestones
    where rank >= (select total from whole) - $5 order by number limit 1
)
select data from documents where merchant_id = $1 and dialect = $2 and kind = $3 and number in (
    select number from documents
    where merchant_id = $1 and dialect = $2 and kind = $3
      and number <= coalesce((select number from milestone), 9223372036854775807)
    order by number desc limit $4 offset $5 + coalesce((select beyond from milestone), 0)
) order by number desc;

-- name: count_documents
-- How many of a dialect's objects there are, and how many of them lie behind the last milestone.
with ends as materialized (
    select max(number) as number, coalesce(sum(since), 0) as rank from document_milestones
    where merchant_id = $1 and dialect = $2 and kind = $3
), behind as materialized (
    select count(*) as beyond from documents
    where merchant_id = $1 and dialect = $2 and kind = $3 and number > coalesce((select number from ends), 0)
)
select ends.rank + behind.beyond as total, behind.beyond from ends, behind;

-- name: documents_end
-- Up to which number every document that there will ever be is there, once nobody is writing one.
select max(number) as number from documents where merchant_id = $1 and dialect = $2 and kind = $3;

-- name: lock_documents
-- Holds while nobody is writing a document; an error where somebody is.
lock table documents in share mode nowait;

-- name: lock_document_milestones
-- Keeps drops waiting that would change milestones.
select lock_document_milestones($1, $2, $3);

-- name: place_documents
-- Draws milestones behind the last one, one every so many documents, up to a number.
insert into document_milestones (merchant_id, dialect, kind, number, since)
select $1, $2, $3, number, $5 from (
    select number, row_number() over (order by number) as place from documents
    where merchant_id = $1 and dialect = $2 and kind = $3 and number <= $4 and number > coalesce((
        select max(number) from document_milestones where merchant_id = $1 and dialect = $2 and kind = $3
    ), 0)
    order by number limit $6
) numbered where place % $5 = 0;

-- name: list_documents_among
-- Those that a filter lets through.
select data from documents where {filters} order by number {direction} limit {limit} offset {offset};

-- name: count_documents_among
-- How many a filter lets through.
select count(*) as total from documents where {filters};

-- name: find_credential
-- A credential that still counts, by its dialect's look-up.
select merchant_id, id, name, scopes, profile, secret_hash from credentials
where dialect = $1 and lookup = $2 and revoked_at is null;

-- name: read_sealed_secret
-- The sealed secret of one of a merchant's credentials; else of the newest that counts, in front of that rail or of
-- none.
select sealed from credentials
where merchant_id = $1 and dialect = $2 and revoked_at is null
  and case when $3::uuid is null then profile ->> 'front' is not distinct from $4::text else id = $3 end
order by created_at desc, id desc limit 1;

-- name: newest_credential
-- The newest of a merchant's credentials that counts, and stands in front of no rail.
select merchant_id, id, name, scopes, profile from credentials
where merchant_id = $1 and dialect = $2 and revoked_at is null and profile ->> 'front' is null
order by created_at desc, id desc limit 1;

-- name: find_token
-- The credential a bearer token stands for, while both still count.
select c.merchant_id, c.id, c.name, c.scopes, c.profile, c.secret_hash from tokens t
join credentials c on c.merchant_id = t.merchant_id and c.id = t.credential_id
where t.token_hash = $1 and t.expires_at > business_now() and c.dialect = $2 and c.revoked_at is null;

-- name: issue_token
-- A bearer token for a credential that still counts; a few that have ended are cleared away.
with ended as (
    delete from tokens where token_hash in (select token_hash from tokens where expires_at <= business_now() limit 10)
)
insert into tokens (token_hash, merchant_id, credential_id, expires_at)
select $1, merchant_id, id, business_now() + $4::interval from credentials
where merchant_id = $2 and id = $3 and revoked_at is null
returning expires_at;
