-- What `moneyback verify` compares. Every statement returns only differences: kind, object, expected, found. Those
-- with three parameters look at the payments of merchant $1 whose id is beyond $2 and at most $3.

-- name: verify_next_merchant
-- The first merchant after this one that has any row at all.
select merchant_id from (
    (select merchant_id from payments where merchant_id > $1 order by merchant_id limit 1)
    union all (select merchant_id from refunds where merchant_id > $1 order by merchant_id limit 1)
    union all (select merchant_id from movements where merchant_id > $1 order by merchant_id limit 1)
    union all (select merchant_id from events where merchant_id > $1 order by merchant_id limit 1)
    union all (select merchant_id from attempts where merchant_id > $1 order by merchant_id limit 1)
    union all (select merchant_id from accounts where merchant_id > $1 order by merchant_id limit 1)
    union all (select merchant_id from idempotency where merchant_id > $1 order by merchant_id limit 1)
) as merchants order by merchant_id limit 1;

-- name: verify_slice
-- The last payment of the next slice, and how many there are in it.
select id, place from (
    select id, row_number() over (order by id) as place from payments
    where merchant_id = $1 and id > $2 order by id limit $3
) as slice order by id desc limit 1;

-- name: verify_payments
-- Every counter of a payment, from its movements alone.
with slice as (
    select *, coalesce('wallet/' || nullif(details ->> 'wallet', ''),
                       case details ->> 'kind' when 'payout' then 'payouts' else 'funds/' || rail end) as funds_account,
           coalesce('wallet/' || nullif(details ->> 'fee_wallet', ''), 'fees') as fees_account,
           coalesce('wallet/' || nullif(details ->> 'source', ''), 'payer') as payer_account
    from payments where merchant_id = $1 and id > $2 and id <= $3
), entries as (
    select m.payment_id, m.refund_id, m.kind, e.amount,
           case e.account when s.payer_account then 'payer' else e.account end as account
    from movements m join slice s on s.id = m.payment_id
    cross join lateral (values (m.debit, -m.amount), (m.credit, m.amount)) as e (account, amount)
    where m.merchant_id = $1 and m.payment_id > $2 and m.payment_id <= $3
), totals as (
    select payment_id,
        -sum(amount) filter (where account = 'payer' and kind = 'capture') as captured,
        sum(amount) filter (where account = 'holds') as held,
        sum(amount) filter (where account = 'payer' and kind in ('post', 'return')) as refunded,
        sum(amount) filter (where account = 'payer' and kind = 'external') as external,
        sum(amount) filter (where account = 'disputes') as disputed,
        sum(amount) filter (where account = 'payer' and kind in ('dispute_lost', 'claw_back')) as clawed_back,
        -sum(amount) filter (where account = 'excess') as excess
    from entries group by payment_id
), shares as (
    -- A refund's share of the fees may be negative, and then uses none of them: so they are added up one by one.
    select payment_id, sum(wallet) as wallet_used, sum(greatest(fee, 0)) as fee_used from (
        select e.payment_id, e.refund_id, -sum(e.amount) filter (where e.account = s.funds_account) as wallet,
               -sum(e.amount) filter (where e.account = s.fees_account and e.refund_id is not null) as fee
        from entries e join slice s on s.id = e.payment_id
        where e.kind in ('hold', 'void', 'return', 'external') and s.funds_account <> s.fees_account
        group by e.payment_id, e.refund_id
    ) as each_refund group by payment_id
), undivided as (
    -- Where one wallet takes both shares, the movements cannot tell them apart.
    select s.id as payment_id, sum(r.wallet) as wallet_used, sum(greatest(r.fee_return, 0)) as fee_used
    from slice s join refunds r on r.merchant_id = $1 and r.payment_id = s.id
    where s.funds_account = s.fees_account and r.state not in ('failed', 'canceled', 'returned') group by s.id
), elsewhere as (
    select s.id as payment_id, sum(x.wallet) filter (where s.funds_account = s.fees_account) as wallet_used,
           sum(greatest(x.fee_return, 0)) as fee_used
    from slice s join externals x on x.merchant_id = $1 and x.payment_id = s.id and not x.undone group by s.id
)
select v.kind, s.id::text as object, v.expected::text as expected, v.found::text as found
from slice s
left join totals t on t.payment_id = s.id
left join shares a on a.payment_id = s.id
left join undivided u on u.payment_id = s.id
left join elsewhere x on x.payment_id = s.id
cross join lateral (values
    ('payment.captured', coalesce(t.captured, 0), s.captured),
    ('payment.held', coalesce(t.held, 0), s.held),
    ('payment.refunded', coalesce(t.refunded, 0), s.refunded),
    ('payment.external', coalesce(t.external, 0), s.external),
    ('payment.disputed', coalesce(t.disputed, 0), s.disputed),
    ('payment.clawed_back', coalesce(t.clawed_back, 0), s.clawed_back),
    ('payment.excess', coalesce(t.excess, 0), s.excess),
    ('payment.beyond_capture',
     greatest(0, s.held + s.refunded + s.external + s.disputed + s.clawed_back - s.captured), s.excess),
    ('payment.wallet_used',
     coalesce(a.wallet_used, 0) + coalesce(u.wallet_used, 0) + coalesce(x.wallet_used, 0), s.wallet_used),
    ('payment.fee_used', coalesce(a.fee_used, 0) + coalesce(u.fee_used, 0) + coalesce(x.fee_used, 0), s.fee_used)
) as v (kind, expected, found)
where v.expected <> v.found
order by s.id, v.kind;

-- name: verify_payment_rows
-- What a payment says of the rows that hang on it: external refunds, disputes, cases, the fence, a release in flight.
select v.kind, p.id::text as object, v.expected, v.found
from payments p
left join lateral (
    select sum(amount) as amount from externals x
    where x.merchant_id = p.merchant_id and x.payment_id = p.id and not x.undone
) as x on true
left join lateral (
    select sum(amount) filter (where status = 'open') as open, sum(amount) filter (where status = 'lost') as lost
    from disputes d where d.merchant_id = p.merchant_id and d.payment_id = p.id
) as d on true
left join lateral (
    select count(*) filter (where kind <> 'excess') as others, count(*) filter (where kind = 'excess') as excess
    from cases c where c.merchant_id = p.merchant_id and c.payment_id = p.id and c.closed_at is null
) as c on true
left join refunds f on f.merchant_id = p.merchant_id and f.id = p.fence and f.payment_id = p.id
    and f.state not in ('succeeded', 'returned', 'failed', 'canceled')
left join attempts a on a.merchant_id = p.merchant_id and a.refund_id = p.fence and a.kind = 'release'
    and p.details #>> '{document,release,id}' = p.fence::text and a.outcome = case p.details #>> '{document,release,state}'
        when 'sending' then 'armed' when 'pending' then 'accepted' when 'unknown' then 'unknown' end
cross join lateral (values
    ('payment.externals', coalesce(x.amount, 0)::text, p.external::text),
    ('payment.disputes_open', coalesce(d.open, 0)::text, p.disputed::text),
    ('payment.disputes_lost', coalesce(d.lost, 0)::text, p.clawed_back::text),
    ('payment.open_cases', c.others::text, p.open_cases::text),
    ('payment.excess_case', (c.excess > 0)::text, p.excess_case::text),
    ('payment.fence', coalesce(f.id, a.refund_id)::text, p.fence::text)
) as v (kind, expected, found)
where p.merchant_id = $1 and p.id > $2 and p.id <= $3 and v.expected is distinct from v.found
order by p.id, v.kind;

-- name: verify_refunds
-- Each refund's own movements: what it holds, what reached the payer, what it took from funds and fees.
with slice as (
    select r.*, coalesce('wallet/' || nullif(p.details ->> 'wallet', ''), 'funds/' || p.rail) as funds_account,
           coalesce('wallet/' || nullif(p.details ->> 'fee_wallet', ''), 'fees') as fees_account,
           coalesce('wallet/' || nullif(p.details ->> 'source', ''), 'payer') as payer_account,
           case when r.state in ('failed', 'canceled', 'returned') then 0 else 1 end as taken,
           case when r.state in ('failed', 'canceled', 'returned', 'succeeded') then 0 else 1 end as holding
    from refunds r join payments p on p.merchant_id = r.merchant_id and p.id = r.payment_id
    where r.merchant_id = $1 and r.payment_id > $2 and r.payment_id <= $3
), entries as (
    select m.refund_id, case e.account when s.payer_account then 'payer' else e.account end as account,
           sum(e.amount) as amount
    from movements m join slice s on s.id = m.refund_id
    cross join lateral (values (m.debit, -m.amount), (m.credit, m.amount)) as e (account, amount)
    where m.merchant_id = $1 and m.payment_id > $2 and m.payment_id <= $3 and m.refund_id is not null
    group by 1, 2
), totals as (
    select s.id, sum(e.amount) filter (where e.account = 'holds') as held,
        sum(e.amount) filter (where e.account = 'payer') as paid,
        -sum(e.amount) filter (where e.account = s.funds_account) as wallet,
        -sum(e.amount) filter (where e.account = s.fees_account and s.funds_account <> s.fees_account) as fee
    from slice s join entries e on e.refund_id = s.id group by s.id
)
select v.kind, s.id::text as object, v.expected::text as expected, v.found::text as found
from slice s left join totals t on t.id = s.id
cross join lateral (values
    ('refund.held', s.holding * s.payer, coalesce(t.held, 0)),
    ('refund.paid', (s.taken - s.holding) * s.payer, coalesce(t.paid, 0)),
    ('refund.wallet', s.taken * case when s.funds_account = s.fees_account then s.payer else s.wallet end,
     coalesce(t.wallet, 0)),
    ('refund.fee_return', s.taken * case when s.funds_account = s.fees_account then 0 else s.fee_return end,
     coalesce(t.fee, 0))
) as v (kind, expected, found)
where v.expected <> v.found
order by s.id, v.kind;

-- name: verify_refund_rows
-- What a refund says of its attempts and its evidence; an attempt that is armed belongs to a refund that is sending.
select v.kind, r.id::text as object, v.expected, v.found
from refunds r
left join lateral (
    select count(*) as count, max(generation) as last, max(outcome) filter (where a.generation = r.generation) as outcome
    from attempts a where a.merchant_id = r.merchant_id and a.refund_id = r.id
) as a on true
left join lateral (
    select count(*) as count from evidence e where e.merchant_id = r.merchant_id and e.refund_id = r.id
) as e on true
cross join lateral (values
    ('refund.attempts', r.generation::text, a.count::text),
    ('refund.last_attempt', r.generation::text, coalesce(a.last, 0)::text),
    ('refund.armed', case when r.state = 'sending' then 'armed' end, case when r.state = 'sending' then a.outcome end),
    ('refund.evidence', greatest(r.evidence_version, e.count)::text, e.count::text)
) as v (kind, expected, found)
where r.merchant_id = $1 and r.payment_id > $2 and r.payment_id <= $3 and v.expected is distinct from v.found
order by r.id, v.kind;

-- name: verify_movements
-- Movements in another currency than their payment's, or of a refund that their payment does not have.
select v.kind, m.id::text as object, v.expected, v.found
from movements m
join payments p on p.merchant_id = m.merchant_id and p.id = m.payment_id
left join refunds r on r.merchant_id = m.merchant_id and r.id = m.refund_id and r.payment_id = m.payment_id
cross join lateral (values
    ('movement.currency', p.currency, m.currency),
    ('movement.refund', r.id::text, m.refund_id::text)
) as v (kind, expected, found)
where m.merchant_id = $1 and m.payment_id > $2 and m.payment_id <= $3 and v.expected is distinct from v.found
order by m.id, v.kind;

-- name: verify_events
-- Events: one for each version of a refund, the last with its state; in the log's order; never after the last writer.
with objects as (
    select p.id, p.id as payment_id, p.version, null as state, p.xid as written_by
    from payments p where p.merchant_id = $1 and p.id > $2 and p.id <= $3
    union all
    select r.id, r.payment_id, r.version, r.state, p.xid
    from refunds r join payments p on p.merchant_id = r.merchant_id and p.id = r.payment_id
    where r.merchant_id = $1 and r.payment_id > $2 and r.payment_id <= $3
), lines as (
    select o.id, e.sequence, e.xid, e.payment_id, e.data,
           (e.xid, e.id) < (lag(e.xid) over told, lag(e.id) over told) as before_the_last
    from objects o join events e on e.merchant_id = $1 and e.object_id = o.id
    window told as (partition by e.object_id order by e.sequence)
), told as (
    select id, count(*) as count, min(sequence) as first, max(sequence) as last, max(xid) as xid,
           count(*) filter (where before_the_last) as out_of_order,
           (array_agg(data ->> 'state' order by sequence desc))[1] as state,
           (array_agg(payment_id::text order by sequence desc))[1] as payment_id
    from lines group by id
)
select v.kind, o.id::text as object, v.expected, v.found
from objects o left join told t on t.id = o.id
cross join lateral (values
    ('refund.events', case when o.state is not null then o.version::text end,
     case when o.state is not null then coalesce(t.count, 0)::text end),
    ('event.first', '1', t.first::text),
    ('event.last', least(o.version, t.last)::text, t.last::text),
    ('event.state', o.state, case when o.state is not null then t.state end),
    ('event.payment', o.payment_id::text, t.payment_id),
    ('event.order', '0', t.out_of_order::text),
    ('payment.written_by', greatest(o.written_by, t.xid)::text, o.written_by::text)
) as v (kind, expected, found)
where v.expected is distinct from v.found
order by o.id, v.kind;

-- name: verify_accounts
-- Every account with a limit, from all movements of its merchant.
with moved as (
    select e.account as name, m.currency, sum(e.amount) as balance
    from movements m cross join lateral (values (m.debit, -m.amount), (m.credit, m.amount)) as e (account, amount)
    where m.merchant_id = $1 and e.account like 'wallet/%' group by e.account, m.currency
)
select 'account.balance' as kind, coalesce(a.name, m.name) || ' ' || coalesce(a.currency, m.currency) as object,
       coalesce(m.balance, 0)::text as expected, a.balance::text as found
from (select * from accounts where merchant_id = $1) as a
full join moved m on m.name = a.name and m.currency = a.currency
where a.balance is distinct from coalesce(m.balance, 0)
order by object;

-- name: verify_ledger
-- All accounts of a merchant sum to zero in each currency: those with a limit as their rows say, all others as moved.
select 'ledger.sum' as kind, currency as object, '0' as expected, sum(balance)::text as found
from (
    select m.currency, sum(e.amount) as balance
    from movements m cross join lateral (values (m.debit, -m.amount), (m.credit, m.amount)) as e (account, amount)
    where m.merchant_id = $1 and e.account not like 'wallet/%' group by m.currency
    union all
    select currency, sum(balance) from accounts where merchant_id = $1 group by currency
) as balances
group by currency having sum(balance) <> 0
order by currency;

-- name: verify_keys
-- Idempotency keys that nobody can answer: of a refund that does not exist, or without refund and answer when due.
select v.kind, k.dialect || ' ' || k.key as object, v.expected, v.found
from idempotency k left join refunds r on r.merchant_id = k.merchant_id and r.id = k.refund_id
cross join lateral (values
    ('key.refund', r.id::text, k.refund_id::text),
    ('key.answer', 'a refund or an answer',
     case when k.refund_id is null and k.answer is null and k.answer_due < clock_timestamp() then 'neither'
          else 'a refund or an answer' end)
) as v (kind, expected, found)
where k.merchant_id = $1 and v.expected is distinct from v.found
order by object, v.kind;

-- name: verify_orphans
-- Rows whose payment or refund is not there.
select o.kind, o.object, o.expected, null::text as found
from (
    select 'movement.payment' as kind, m.id::text as object, m.payment_id::text as expected
    from movements m left join payments p on p.merchant_id = m.merchant_id and p.id = m.payment_id
    where m.merchant_id = $1 and p.id is null
    union all
    select 'event.object', e.object_id::text || ' ' || e.sequence, e.object_id::text
    from events e
    left join payments p on p.merchant_id = e.merchant_id and p.id = e.object_id
    left join refunds r on r.merchant_id = e.merchant_id and r.id = e.object_id
    where e.merchant_id = $1 and p.id is null and r.id is null
    union all
    select 'attempt.refund', a.refund_id::text || ' ' || a.generation, a.refund_id::text
    from attempts a left join refunds r on r.merchant_id = a.merchant_id and r.id = a.refund_id
    where a.merchant_id = $1 and r.id is null and a.kind = 'refund'
    union all
    -- A release has no row: while a provider may have it, it holds its payment's fence.
    select 'attempt.release', a.refund_id::text || ' ' || a.generation, a.refund_id::text
    from attempts a left join payments p on p.merchant_id = a.merchant_id and p.fence = a.refund_id
    where a.merchant_id = $1 and p.id is null and a.kind = 'release' and a.outcome in ('armed', 'accepted', 'unknown')
    union all
    select 'evidence.payment', e.id::text, e.payment_id::text
    from evidence e left join payments p on p.merchant_id = e.merchant_id and p.id = e.payment_id
    where e.merchant_id = $1 and p.id is null
    union all
    select 'order.payment', o.id::text, paid::text
    from orders o cross join lateral unnest(o.payments) as paid
    left join payments p on p.merchant_id = o.merchant_id and p.id = paid
    where o.merchant_id = $1 and p.id is null
) as o
order by o.kind, o.object;
