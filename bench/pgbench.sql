-- One refund, admitted and armed, in one transaction: the rows the product writes, by themselves, without the product.
-- The same tables, columns and indexes, each column filled as the product fills it; one statement a table, prepared.
-- Given from outside: merchant (its id), rows (how many payments there are). In JSON a blank follows each colon before
-- a plain word, which pgbench would take for a variable of its own.

\set number random(1, :rows)

begin;

-- The payment is locked and read; its refund's id is drawn.
select id as payment, version, captured, held, refunded, wallet_used, uuidv7() as refund
from payments
where merchant_id = :merchant::uuid
  and id = ('01900000-0000-7000-8000-' || lpad(to_hex(:number::bigint), 12, '0'))::uuid
for update \gset

insert into idempotency (merchant_id, dialect, key, fingerprint, refund_id, status, answer, answer_due, created_at)
select :merchant::uuid, 'native', 'pgbench-' || id, sha256(id::text::bytea), id, 202, convert_to(
           '{"id":"re_' || hex || '","object":"refund","payment":"pay_' || replace(:payment::text, '-', '')
           || '","order_refund": null,"state":"sending","amount": 100,'
           || '"currency":"EUR","wallet_amount": 100,"fee_refund": 0,"reason":"requested_by_customer",'
           || '"reference": null,'
           || '"requested_by":"demo","dialect":"native","dialect_id":"' || hex || '","rail":"sandbox",'
           || '"provider_id": null,"trace": null,"pending_reason": null,"failure": null,"doubt": null,"attempts": 1,'
           || '"evidence_version": 0,"metadata":{},"scheduled_for": null,"created_at":"' || now() || '","updated_at":"'
           || now() || '","ended_at": null}', 'UTF8'),
       clock_timestamp() + interval '15 s', clock_timestamp()
from (select :refund::uuid as id, replace(:refund::text, '-', '') as hex) drawn;

update payments
set version = :version::bigint + 1, xid = pg_current_xact_id(), held = :held::bigint + 100,
    wallet_used = :wallet_used::bigint + 100, updated_at = clock_timestamp()
where merchant_id = :merchant::uuid and id = :payment::uuid;

insert into refunds (merchant_id, id, payment_id, version, dialect, dialect_id, rail, currency, payer, wallet,
                     fee_return, state, generation, provider_id, evidence_version, equality, group_id, due_at, look_at,
                     human_since, doubt_since, claimed_until, lease_until, created_at, updated_at, ended_at, details)
values (:merchant::uuid, :refund::uuid, :payment::uuid, 1, 'native', replace(:refund::text, '-', ''), 'sandbox', 'EUR',
        100, 100, 0, 'sending', 1, null, 0, null, null, null, null, null, null, clock_timestamp() + interval '60 s',
        clock_timestamp() + interval '60 s', clock_timestamp(), clock_timestamp(), null,
        jsonb_build_object('mark', 'mb_' || replace(:refund::text, '-', '') || '_1', 'reason', 'requested_by_customer',
                           'requested_by', 'demo', 'send_deadline', clock_timestamp() + interval '30 s'));

insert into attempts (merchant_id, refund_id, generation, kind, mark, amount, outcome, armed_at, send_deadline,
                      lease_until, pre_read)
values (:merchant::uuid, :refund::uuid, 1, 'refund', 'mb_' || replace(:refund::text, '-', '') || '_1', 100, 'armed',
        clock_timestamp(), clock_timestamp() + interval '30 s', clock_timestamp() + interval '60 s', '{}');

insert into movements (merchant_id, payment_id, refund_id, kind, debit, credit, amount, currency, at)
values (:merchant::uuid, :payment::uuid, :refund::uuid, 'hold', 'funds/sandbox', 'holds', 100, 'EUR',
        clock_timestamp());

insert into events (merchant_id, type, object_id, sequence, payment_id, at, data)
values (:merchant::uuid, 'refund.created', :refund::uuid, 1, :payment::uuid, clock_timestamp(),
        '{"state": "sending", "amount": 100, "currency": "EUR", "generation": 1}');

end;
