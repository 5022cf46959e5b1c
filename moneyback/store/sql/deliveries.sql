-- What clients' own hooks are told: kept, claimed in turn, tried again, given up visibly, and replayed.

-- name: add_deliveries
-- Requests to clients' programs, due at once, in this order.
insert into deliveries (merchant_id, id, rail, dialect, event, object_id, hook, url, method, sealed, created_at, due_at)
select $1, n.id, n.rail, n.dialect, n.event, n.object_id, n.hook, n.url, n.method, n.sealed, business_now(),
       business_now()
from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::bytea[])
     with ordinality as n (id, rail, dialect, event, object_id, hook, url, method, sealed, place)
order by n.place
on conflict do nothing;

-- name: claim_deliveries
-- Deliveries that are due, but to no address that is called often enough now; one process at a time. One before which
-- another of its object and hook has not ended yet is not claimed but waits until that one is tried again, or has
-- ended: so it is not looked at in vain meanwhile.
with found as (
    select merchant_id, id, object_id, hook, number from deliveries
    where due_at <= business_now() and (claimed_until is null or claimed_until < clock_timestamp())
      and url <> all ($3::text[])
    order by due_at, number limit $1 for update skip locked
),
turns as (
    select f.merchant_id, f.id,
           (select max(e.due_at) from deliveries e
            where f.object_id is not null and e.merchant_id = f.merchant_id and e.object_id = f.object_id
              and e.hook = f.hook and e.number < f.number and e.due_at is not null) as behind
    from found f
)
update deliveries d
set claimed_until = case when t.behind is null then clock_timestamp() + $2::interval end,
    due_at = case when t.behind is null then d.due_at else greatest(t.behind, business_now() + interval '1 second') end
from turns t
where d.merchant_id = t.merchant_id and d.id = t.id and d.due_at <= business_now()
  and (d.claimed_until is null or d.claimed_until < clock_timestamp())
returning d.merchant_id, d.id, d.url, d.method, d.sealed, d.tries, d.dialect, d.hook, t.behind is null as claimed;

-- name: end_delivery
-- It arrived, or is given up; what comes after it in its turn is due now.
with ended as (
    update deliveries set due_at = null, claimed_until = null, tries = tries + 1, status = $3, failure = $4,
                          ended_at = business_now(), delivered = $5
    where merchant_id = $1 and id = $2 and due_at is not null
    returning merchant_id, object_id, hook, number
)
update deliveries d set due_at = business_now()
from ended e
where d.merchant_id = e.merchant_id and d.object_id = e.object_id and d.hook = e.hook and d.due_at is not null
  and d.number = (select min(n.number) from deliveries n
                  where n.merchant_id = e.merchant_id and n.object_id = e.object_id and n.hook = e.hook
                    and n.number > e.number and n.due_at is not null)
  and d.due_at > business_now();

-- name: put_off_delivery
-- It did not arrive, and is tried again after a while of business time.
update deliveries set due_at = business_now() + $3::interval, claimed_until = null, tries = tries + 1, status = $4,
                      failure = $5
where merchant_id = $1 and id = $2 and due_at is not null;

-- name: replay_delivery
-- It is told once more from now on, as if for the first time; one that is still due is tried at once. No row when what
-- it said is not kept any more.
update deliveries set due_at = business_now(), ended_at = null, delivered = false,
                      tries = case when due_at is null then 0 else tries end
where merchant_id = $1 and id = $2 and sealed is not null
returning id, rail, dialect, event, hook, url, method, created_at, due_at, tries, status, failure, ended_at, delivered,
          sealed is not null as kept;

-- name: forget_deliveries
-- What was said in deliveries that ended so long ago is kept no longer.
with old as (
    select merchant_id, id from deliveries
    where ended_at is not null and sealed is not null and ended_at < business_now() - $1::interval
    order by ended_at limit $2 for update skip locked
)
update deliveries d set sealed = null from old o where d.merchant_id = o.merchant_id and d.id = o.id returning d.id;

-- name: read_delivery
-- One delivery of a merchant.
select id, rail, dialect, event, hook, url, method, created_at, due_at, tries, status, failure, ended_at, delivered,
       sealed is not null as kept
from deliveries where merchant_id = $1 and id = $2;

-- name: list_deliveries
-- A merchant's deliveries, newest first; those that are not delivered only, if asked for.
select id, rail, dialect, event, hook, url, method, created_at, due_at, tries, status, failure, ended_at, delivered,
       sealed is not null as kept
from deliveries where merchant_id = $1 and (not $2::boolean or not delivered)
order by created_at desc, number desc limit $3;
