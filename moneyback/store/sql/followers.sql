-- Following the event log of each merchant, to tell what happened.

-- name: claim_followers
-- Merchants whose log goes on beyond the place that was reached, one process at a time, who waited longest first. Loaded
-- into another cluster, whose transactions have smaller numbers, a place lies ahead of all that will ever happen: it is
-- set back to where that cluster stands now.
with found as (
    select f.merchant_id,
           case when f.epoch <> c.epoch and f.xid > pg_snapshot_xmin(pg_current_snapshot())
                then pg_snapshot_xmin(pg_current_snapshot()) else f.xid end as xid,
           c.epoch
    from followers f, cell c
    where f.claimed_until < clock_timestamp()
      and (f.epoch <> c.epoch
           or exists (select from events e where e.merchant_id = f.merchant_id and (e.xid, e.id) > (f.xid, f.event_id)
                      and e.xid < pg_snapshot_xmin(pg_current_snapshot())))
    order by f.claimed_until limit $1 for update of f skip locked
)
update followers f
set claimed_until = clock_timestamp() + $2::interval, epoch = n.epoch, xid = n.xid,
    event_id = case when n.xid = f.xid then f.event_id else 0 end
from found n
where f.merchant_id = n.merchant_id
returning f.merchant_id, f.xid::text::bigint as xid, f.event_id, f.epoch;

-- name: advance_follower
-- The log was followed to here, and is for whoever comes next: a place is never moved back.
update followers set xid = $2::text::xid8, event_id = $3, claimed_until = clock_timestamp()
where merchant_id = $1 and (xid, event_id) < ($2::text::xid8, $3::bigint);

-- name: let_go_follower
-- Nobody follows this log now.
update followers set claimed_until = clock_timestamp() where merchant_id = $1;
