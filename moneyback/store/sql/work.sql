-- Due work is found by a plain read and claimed by a guarded update. A refund that somebody has locked is left alone:
-- it is being worked on, and waiting for it could end in two waiting for each other.

-- name: claim_ready
-- Refunds that may be sent: not in another's hands, their payment neither fenced by another refund nor blocked.
with found as (
    select r.merchant_id, r.id from refunds r
    join payments p on p.merchant_id = r.merchant_id and p.id = r.payment_id
    where r.state = 'ready' and (r.claimed_until is null or r.claimed_until < clock_timestamp())
      and (p.fence is null or p.fence = r.id) and p.open_cases = 0 and not p.excess_case and p.rail_gap is null
    order by r.created_at limit $1 for update of r skip locked
)
update refunds r set claimed_until = clock_timestamp() + $2::interval
from found f
where r.merchant_id = f.merchant_id and r.id = f.id and r.state = 'ready'
  and (r.claimed_until is null or r.claimed_until < clock_timestamp())
returning r.merchant_id, r.id, r.payment_id, r.rail;

-- name: claim_expired
-- Attempts whose lease ran out in real time.
select merchant_id, id, payment_id, rail from refunds
where state = 'sending' and lease_until < clock_timestamp() order by lease_until limit $1;

-- name: claim_looks
-- Refunds whose next look is due in business time; the claim keeps two processes from looking at once.
with found as (
    select merchant_id, id from refunds
    where look_at <= business_now() and (claimed_until is null or claimed_until < clock_timestamp())
    order by look_at limit $1 for update skip locked
)
update refunds r set claimed_until = clock_timestamp() + $2::interval
from found f
where r.merchant_id = f.merchant_id and r.id = f.id and r.look_at <= business_now()
  and (r.claimed_until is null or r.claimed_until < clock_timestamp())
returning r.merchant_id, r.id, r.payment_id, r.rail;

-- name: claim_scheduled
-- Refunds whose date has come in business time.
select merchant_id, id, payment_id, rail from refunds
where state = 'scheduled' and due_at <= business_now() order by due_at limit $1;

-- name: claim_releases
-- Releases whose lease ran out in real time, or whose next look is due in business time. Two may look at once: it counts
-- as one look. What a document calls its release is one only if it holds the payment's fence.
with open_ones as (
    select merchant_id, id, rail, fence, details #> '{document,release}' as release from payments
    where details #>> '{document,release,state}' in ('sending', 'pending', 'unknown')
), due as (
    select merchant_id, id, rail, fence, release, case when fence::text = release ->> 'id' then
        case release ->> 'state' when 'sending' then (release ->> 'lease_until')::timestamptz < clock_timestamp()
            else (release ->> 'look_at')::timestamptz <= business_now() end end as is_due
    from open_ones
)
select merchant_id, fence, id, rail from due where is_due
order by coalesce(release ->> 'look_at', release ->> 'lease_until') limit $1;
