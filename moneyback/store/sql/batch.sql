-- Statements of the commit path, in the order of the lock classes: keys, orders, payments, refunds, limited accounts.

-- name: begin_batch
-- The transaction's id and both times; drawn first, so that a payment written by a later transaction is recognised.
select pg_current_xact_id()::text::bigint as xid, clock_timestamp() as real, business_now() as business;

-- name: insert_keys
-- Claims idempotency keys in sorted order; those already there come back from read_keys instead.
insert into idempotency (merchant_id, dialect, key, fingerprint, refund_id, status, answer, answer_due, created_at)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::uuid[], $6::integer[], $7::bytea[],
                     $8::timestamptz[], $9::timestamptz[])
order by 1, 2, 3
on conflict do nothing
returning merchant_id, dialect, key;

-- name: read_keys
-- The idempotency rows of keys that were there before.
select merchant_id, dialect, key, fingerprint, refund_id, status, answer, answer_due, created_at
from idempotency
where (merchant_id, dialect, key) in (select * from unnest($1::uuid[], $2::text[], $3::text[]));

-- name: delete_keys
-- Gives back the keys of commands that were put off, so that no committed key is without a decision.
delete from idempotency
where (merchant_id, dialect, key) in (select * from unnest($1::uuid[], $2::text[], $3::text[]));

-- name: write_answers
-- Writes down what a key's request came to; the first answer stays. Of a key claimed in this batch, what was inserted
-- was a guess: the refund may have been refused, or the key have gone to another command than the one that claimed it.
update idempotency k set fingerprint = a.fingerprint, status = a.status, answer = a.answer,
                         refund_id = case when a.is_fresh then a.refund_id else coalesce(a.refund_id, k.refund_id) end,
                         answer_due = greatest(k.answer_due, a.answer_due)
from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::uuid[], $6::integer[], $7::bytea[], $8::timestamptz[],
            $9::boolean[])
    as a (merchant_id, dialect, key, fingerprint, refund_id, status, answer, answer_due, is_fresh)
where k.merchant_id = a.merchant_id and k.dialect = a.dialect and k.key = a.key and k.answer is null;

-- name: save_answer
-- Keeps an answer under a key unless there is one, and says which one stands.
with saved as (
    update idempotency set status = $4, answer = $5
    where merchant_id = $1 and dialect = $2 and key = $3 and answer is null
    returning status, answer
)
select status, answer from saved
union all
select status, answer from idempotency
where merchant_id = $1 and dialect = $2 and key = $3 and answer is not null and not exists (select from saved);

-- name: lock_orders
-- Locks orders by their reference, sorted.
select merchant_id, id, dialect, reference, version, payments from orders
where (merchant_id, dialect, reference) in (select * from unnest($1::uuid[], $2::text[], $3::text[]))
order by merchant_id, dialect, reference for update;

-- name: lock_payments
-- Locks payments, sorted, leaving out those that somebody else holds.
select {payment_columns}, xid::text::bigint as xid from payments
where (merchant_id, id) in (select * from unnest($1::uuid[], $2::uuid[]))
order by merchant_id, id for update skip locked;

-- name: wait_payments
-- Locks payments, sorted, waiting up to the lock time-out: for a command that was put off too often.
select {payment_columns}, xid::text::bigint as xid from payments
where (merchant_id, id) in (select * from unnest($1::uuid[], $2::uuid[]))
order by merchant_id, id for update;

-- name: existing_payments
-- Which of these payments exist at all: tells "locked by somebody else" from "unknown".
select merchant_id, id from payments where (merchant_id, id) in (select * from unnest($1::uuid[], $2::uuid[]));

-- name: payments_by_reference
-- Payments already registered under a provider account's reference.
select {payment_columns} from payments
where (merchant_id, account, reference) in (select * from unnest($1::uuid[], $2::text[], $3::text[]));

-- name: lock_refunds
-- Locks refunds, sorted; their payments are locked already.
select {refund_columns} from refunds
where (merchant_id, id) in (select * from unnest($1::uuid[], $2::uuid[]))
order by merchant_id, id for update;

-- name: equal_refunds
-- Locks the newest refund of each payment with an equal keyless request; their payments are locked already.
select {refund_columns} from refunds
where (merchant_id, id) in (
    select distinct on (merchant_id, payment_id, equality) merchant_id, id from refunds
    where (merchant_id, payment_id, equality) in (select * from unnest($1::uuid[], $2::uuid[], $3::bytea[]))
    order by merchant_id, payment_id, equality, created_at desc, id desc
)
order by merchant_id, id for update;

-- name: child_refunds
-- Locks all refunds of payments whose story reaches them, sorted.
select {refund_columns} from refunds
where (merchant_id, payment_id) in (select * from unnest($1::uuid[], $2::uuid[]))
order by merchant_id, id for update;

-- name: child_disputes
-- The disputes of payments.
select {dispute_columns} from disputes
where (merchant_id, payment_id) in (select * from unnest($1::uuid[], $2::uuid[]));

-- name: child_externals
-- The external refunds of payments.
select {external_columns} from externals
where (merchant_id, payment_id) in (select * from unnest($1::uuid[], $2::uuid[]));

-- name: child_cases
-- The cases of payments.
select {case_columns} from cases
where (merchant_id, payment_id) in (select * from unnest($1::uuid[], $2::uuid[]));

-- name: lock_accounts
-- Locks the accounts with a balance row that these payments draw on, sorted.
select merchant_id, name, currency, balance from accounts
where (merchant_id, name, currency) in (select * from unnest($1::uuid[], $2::text[], $3::text[]))
order by merchant_id, name, currency for update;

-- name: draw_numbers
-- The next numbers of a dialect's sequence, in the order in which they will be given out.
select nextval($1::text::regclass) as number from generate_series(1, $2::integer);

-- name: insert_orders
-- New orders, and those that gained a payment.
insert into orders (merchant_id, id, dialect, reference, version, payments)
select ($1::uuid[])[i], ($2::uuid[])[i], ($3::text[])[i], ($4::text[])[i], ($5::bigint[])[i],
       array(select jsonb_array_elements_text(($6::jsonb[])[i])::uuid)
from generate_subscripts($1::uuid[], 1) i
on conflict (merchant_id, id) do update set version = excluded.version, payments = excluded.payments;

-- name: insert_payments
-- Payments that were not known before.
insert into payments ({payment_columns}, xid)
select *, pg_current_xact_id() from unnest({payment_rows});

-- name: update_payments
-- The counters of locked payments, each once, at their final version.
update payments p set
    version = n.version, xid = pg_current_xact_id(), condition = n.condition, authorized = n.authorized,
    captured = n.captured, fees = n.fees, held = n.held, refunded = n.refunded, external = n.external,
    disputed = n.disputed, clawed_back = n.clawed_back, excess = n.excess, wallet_used = n.wallet_used,
    fee_used = n.fee_used, amount_known = n.amount_known, open_cases = n.open_cases, excess_case = n.excess_case,
    rail_gap = n.rail_gap, fence = n.fence, captured_at = n.captured_at, updated_at = n.updated_at,
    details = n.details
from unnest({payment_rows}) as n ({payment_columns})
where p.merchant_id = n.merchant_id and p.id = n.id;

-- name: touch_payments
-- Marks payments as last written by this transaction when only events of what hangs on them are.
update payments p set xid = pg_current_xact_id()
from unnest($1::uuid[], $2::uuid[]) as n (merchant_id, id)
where p.merchant_id = n.merchant_id and p.id = n.id;

-- name: insert_refunds
-- Refunds admitted in this batch.
insert into refunds ({refund_columns}) select * from unnest({refund_rows});

-- name: update_refunds
-- Locked refunds at their final version; amounts never change.
update refunds r set
    version = n.version, state = n.state, generation = n.generation, provider_id = n.provider_id,
    evidence_version = n.evidence_version, due_at = n.due_at, look_at = n.look_at, human_since = n.human_since,
    doubt_since = n.doubt_since, claimed_until = n.claimed_until, lease_until = n.lease_until,
    updated_at = n.updated_at, ended_at = n.ended_at, details = n.details
from unnest({refund_rows}) as n ({refund_columns})
where r.merchant_id = n.merchant_id and r.id = n.id;

-- name: write_attempts
-- New attempts as armed, and the outcomes of earlier ones.
insert into attempts ({attempt_columns}) select * from unnest({attempt_rows})
on conflict (merchant_id, refund_id, generation) do update set outcome = excluded.outcome;

-- name: insert_movements
-- Movements, in the order in which they were made.
insert into movements ({movement_columns}) select {movement_columns} from unnest({movement_rows})
    with ordinality as n ({movement_columns}, place) order by place;

-- name: insert_events
-- Events, in the order in which they happened.
insert into events ({event_columns}) select {event_columns} from unnest({event_rows})
    with ordinality as n ({event_columns}, place) order by place;

-- name: insert_evidence
-- What was seen; one sighting is kept once.
insert into evidence ({evidence_columns}) select * from unnest({evidence_rows});

-- name: write_externals
-- Refunds made elsewhere, and those a provider took back.
insert into externals ({external_columns}) select * from unnest({external_rows})
on conflict (merchant_id, payment_id, provider_id) do update set undone = excluded.undone;

-- name: write_disputes
-- Disputes as they stand.
insert into disputes ({dispute_columns}) select * from unnest({dispute_rows})
on conflict (merchant_id, payment_id, reference) do update
    set amount = excluded.amount, status = excluded.status, updated_at = excluded.updated_at;

-- name: write_cases
-- Cases opened and closed.
insert into cases ({case_columns}) select * from unnest({case_rows})
on conflict (merchant_id, payment_id, number) do update
    set closed_at = excluded.closed_at, closed_by = excluded.closed_by, note = excluded.note;

-- name: write_accounts
-- What was added to accounts with a limit: to those that are locked, and to those opened in this batch.
insert into accounts (merchant_id, name, currency, balance)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[])
on conflict (merchant_id, name, currency) do update set balance = accounts.balance + excluded.balance;

-- name: transaction_status
-- Whether a transaction whose commit was not answered still runs; null for a number not given out yet, or long ago.
select case when $1::text::xid8 < pg_current_xact_id() then pg_xact_status($1::text::xid8) end;

-- name: evidence_written
-- Whether this evidence was written: the witness of a commit that wrote no event.
select 1 from evidence where merchant_id = $1 and id = $2;

-- name: event_written_by
-- Whether this event was written by that transaction: the witness of a commit whose answer was lost.
select 1 from events
where merchant_id = $1 and object_id = $2 and sequence = $3 and xid = $4::text::xid8;
