-- Payments {first} to {last}, each captured and with one refund that succeeded, as the product would have left them.
-- Their ids are the number they carry, so that load can be spread over them without asking.

insert into payments (merchant_id, id, version, xid, dialect, dialect_id, rail, account, reference, currency, condition,
                      authorized, captured, fees, held, refunded, external, disputed, clawed_back, excess, wallet_used,
                      fee_used, amount_known, open_cases, excess_case, rail_gap, fence, order_ref, captured_at,
                      created_at, updated_at, details)
select '{merchant}', payment, 3, pg_current_xact_id(), 'native', replace(payment::text, '-', ''), 'sandbox', 'sandbox',
       'native-' || replace(payment::text, '-', ''), 'EUR', 'captured', 0, 1000000000, 0, 0, 100, 0, 0, 0, 0, 100, 0,
       true, 0, false, null, null, null, at, at, at, '{{}}'
from (
    select ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as payment,
           business_now() - interval '1 day' + n * interval '1 microsecond' as at
    from generate_series({first}, {last}) n
) numbered;

insert into refunds (merchant_id, id, payment_id, version, dialect, dialect_id, rail, currency, payer, wallet,
                     fee_return, state, generation, provider_id, evidence_version, created_at, updated_at, ended_at,
                     details)
select '{merchant}', refund, payment, 2, 'native', replace(refund::text, '-', ''), 'sandbox', 'EUR', 100, 100, 0,
       'succeeded', 1, 'native-' || replace(payment::text, '-', '') || '.1', 1, at, at, at,
       jsonb_build_object('mark', 'mb_' || replace(refund::text, '-', '') || '_1', 'requested_by', 'demo',
                          'reason', 'requested_by_customer', 'evidence_at', at,
                          'seen', jsonb_build_array('native-' || replace(payment::text, '-', '') || '.1:succeeded'))
from (
    select ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as payment,
           ('01900000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid as refund,
           business_now() - interval '1 day' + n * interval '1 microsecond' as at
    from generate_series({first}, {last}) n
) numbered;

insert into attempts (merchant_id, refund_id, generation, kind, mark, amount, outcome, armed_at, send_deadline,
                      lease_until, pre_read)
select merchant_id, id, 1, 'refund', details ->> 'mark', payer, 'executed', created_at,
       created_at + interval '30 s', created_at + interval '60 s', '{{}}'
from refunds
where merchant_id = '{merchant}'
  and id between ('01900000-0000-7000-9000-' || lpad(to_hex({first}), 12, '0'))::uuid
             and ('01900000-0000-7000-9000-' || lpad(to_hex({last}), 12, '0'))::uuid;

insert into evidence (merchant_id, id, payment_id, refund_id, event, grade, source, counted, at, occurred_at, amount,
                      provider_id, digest, generation, data)
select merchant_id, ('01900000-0000-7000-a000-' || right(id::text, 12))::uuid, payment_id, id, 'executed', 'A',
       'answer', true, ended_at, ended_at, payer, provider_id, provider_id || ':succeeded', 1,
       '{{"status": "succeeded"}}'
from refunds
where merchant_id = '{merchant}'
  and id between ('01900000-0000-7000-9000-' || lpad(to_hex({first}), 12, '0'))::uuid
             and ('01900000-0000-7000-9000-' || lpad(to_hex({last}), 12, '0'))::uuid;

insert into movements (merchant_id, payment_id, refund_id, kind, debit, credit, amount, currency, at)
select '{merchant}', payment, case when kind <> 'capture' then refund end, kind, debit, credit, amount, 'EUR', at
from (
    select n, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as payment,
           ('01900000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid as refund,
           business_now() - interval '1 day' + n * interval '1 microsecond' as at
    from generate_series({first}, {last}) n
) numbered,
(values (1, 'capture', 'payer', 'funds/sandbox', 1000000000::bigint),
        (2, 'hold', 'funds/sandbox', 'holds', 100),
        (3, 'post', 'holds', 'payer', 100)) as kinds (place, kind, debit, credit, amount)
order by n, place;

insert into events (merchant_id, type, object_id, sequence, payment_id, at, data)
select '{merchant}', type, case when type = 'payment.registered' then payment else refund end, sequence, payment, at,
       data::jsonb
from (
    select n, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as payment,
           ('01900000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid as refund,
           business_now() - interval '1 day' + n * interval '1 microsecond' as at
    from generate_series({first}, {last}) n
) numbered,
(values (1, 'payment.registered', 1,
         '{{"captured": 1000000000, "refundable": 1000000000, "currency": "EUR"}}'),
        (2, 'refund.created', 1, '{{"state": "sending", "amount": 100, "currency": "EUR", "generation": 1}}'),
        (3, 'refund.succeeded', 2, '{{"state": "succeeded", "amount": 100, "currency": "EUR", "generation": 1}}')
) as kinds (place, type, sequence, data)
order by n, place;
