-- Figures for operators, over all merchants of this database.

-- name: unended_refunds
-- How many refunds have not ended, by state and rail.
select state, rail, count(*) as count from refunds
where ended_at is null group by state, rail order by state, rail;

-- name: money_in_doubt
-- Money whose outcome is not known, since when, and when a provider is asked next; of one merchant or of all.
select rail, currency, sum(payer)::bigint as amount,
       extract(epoch from business_now() - min(doubt_since))::float8 as age_s, count(*) as count,
       min(doubt_since) as since, min(look_at) as next_look_at,
       extract(epoch from min(look_at) - business_now())::float8 as next_look_s
from refunds where doubt_since is not null and ended_at is null and ($1::uuid is null or merchant_id = $1)
group by rail, currency order by rail, currency;

-- name: open_findings
-- Differences from providers' lists that nobody has settled, of one merchant or of all.
select rail, kind, count(*) as count from findings
where settled_at is null and ($1::uuid is null or merchant_id = $1)
group by rail, kind order by rail, kind;

-- name: horizon_age
-- Age of the oldest transaction that is still running and writes: no event behind it is shown yet.
select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8 as age_s
from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid();
