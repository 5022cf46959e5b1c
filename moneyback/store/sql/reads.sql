-- Plain reads by identity, for the engine's port.

-- name: read_payment
-- One payment of a merchant.
select {payment_columns} from payments where merchant_id = $1 and id = $2;

-- name: read_refund
-- One refund of a merchant.
select {refund_columns} from refunds where merchant_id = $1 and id = $2;

-- name: read_key
-- One idempotency key of a merchant.
select merchant_id, dialect, key, fingerprint, refund_id, status, answer, answer_due, created_at
from idempotency where merchant_id = $1 and dialect = $2 and key = $3;

-- name: read_now
-- Both times.
select clock_timestamp() as real, business_now() as business;

-- name: read_events
-- Events below the horizon of running transactions, after a cursor, in an order that agrees with each object's own.
select {event_columns}, xid::text::bigint as xid, id, (select epoch from cell) as epoch from events
where merchant_id = $1 and (xid, id) > ($2::text::xid8, $3::bigint)
  and xid < pg_snapshot_xmin(pg_current_snapshot())
order by xid, id limit $4;

-- name: read_attempt
-- One attempt of a refund.
select {attempt_columns} from attempts where merchant_id = $1 and refund_id = $2 and generation = $3;

-- name: read_refunds_of
-- All refunds of payments, without locking them.
select {refund_columns} from refunds
where (merchant_id, payment_id) in (select * from unnest($1::uuid[], $2::uuid[]));

-- name: read_payments_by_id
-- Payments of a merchant, without locking them.
select {payment_columns} from payments where merchant_id = $1 and id = any($2::uuid[]);

-- name: read_refunds_by_id
-- Refunds of a merchant, without locking them.
select {refund_columns} from refunds where merchant_id = $1 and id = any($2::uuid[]);
