-- What clients' own hooks are told: kept, claimed, tried again, and given up visibly.

-- name: add_delivery
-- One request to a client's program, due at once.
insert into deliveries (merchant_id, id, rail, hook, url, method, sealed, created_at, due_at)
values ($1, $2, $3, $4, $5, $6, $7, business_now(), business_now())
on conflict do nothing;

-- name: claim_deliveries
-- Deliveries that are due, one process at a time.
with found as (
    select merchant_id, id from deliveries
    where due_at <= business_now() and (claimed_until is null or claimed_until < clock_timestamp())
    order by due_at limit $1 for update skip locked
)
update deliveries d set claimed_until = clock_timestamp() + $2::interval
from found f
where d.merchant_id = f.merchant_id and d.id = f.id and d.due_at <= business_now()
  and (d.claimed_until is null or d.claimed_until < clock_timestamp())
returning d.merchant_id, d.id, d.url, d.method, d.sealed, d.tries;

-- name: end_delivery
-- It arrived, or is given up: nothing of what it said is kept.
update deliveries set due_at = null, claimed_until = null, sealed = null, tries = tries + 1, status = $3, failure = $4,
                      ended_at = business_now(), delivered = $5
where merchant_id = $1 and id = $2;

-- name: put_off_delivery
-- It did not arrive, and is tried again after a while of business time.
update deliveries set due_at = business_now() + $3::interval, claimed_until = null, tries = tries + 1, status = $4,
                      failure = $5
where merchant_id = $1 and id = $2;

-- name: list_deliveries
-- A merchant's deliveries, newest first; those that are not delivered only, if asked for.
select id, rail, hook, url, method, created_at, due_at, tries, status, failure, ended_at, delivered
from deliveries where merchant_id = $1 and (not $2::boolean or not delivered)
order by created_at desc, id desc limit $3;
