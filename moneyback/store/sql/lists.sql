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

-- name: count_payments
-- How many payments a list has.
select count(*) as total from payments where {filters};

-- name: count_refunds
-- How many refunds a list has.
select count(*) as total from refunds where {filters};

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

-- name: list_documents_matching
-- Those whose top-level members equal the given ones.
select data from documents
where merchant_id = $1 and dialect = $2 and kind = $3 and data @> jsonb_strip_nulls($4::jsonb)
  and not exists (select from jsonb_each($4::jsonb) m where coalesce(data -> m.key, 'null') <> m.value)
order by number {direction} limit $5 offset $6;

-- name: count_documents
-- How many of a dialect's objects there are.
select count(*) as total from documents where merchant_id = $1 and dialect = $2 and kind = $3;

-- name: count_documents_matching
-- How many of them have these top-level members.
select count(*) as total from documents
where merchant_id = $1 and dialect = $2 and kind = $3 and data @> jsonb_strip_nulls($4::jsonb)
  and not exists (select from jsonb_each($4::jsonb) m where coalesce(data -> m.key, 'null') <> m.value);

-- name: find_credential
-- A credential that still counts, by its dialect's look-up.
select merchant_id, id, name, scopes, profile, secret_hash from credentials
where dialect = $1 and lookup = $2 and revoked_at is null;

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
