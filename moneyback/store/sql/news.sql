-- News from providers: what was sent to us, how far their lists were read, what differs, and rails that only look.

-- name: find_hook
-- The rail in use behind an address.
select h.merchant_id, h.rail from hooks h join rails r on r.merchant_id = h.merchant_id and r.name = h.rail
where h.token = $1 and r.removed_at is null;

-- name: take_notification
-- Keeps what was sent, due at once; told again, it is counted and nothing else.
insert into notifications (merchant_id, id, rail, digest, payments, refunds, raw, came_at, due_at)
values ($1, $2, $3, $4, $5, $6, $7, business_now(), business_now())
on conflict (merchant_id, rail, digest) do update set times = notifications.times + 1
returning times;

-- name: claim_notifications
-- Notifications whose reading is due, one process at a time.
with found as (
    select merchant_id, id from notifications
    where due_at <= business_now() and (claimed_until is null or claimed_until < clock_timestamp())
    order by due_at limit $1 for update skip locked
)
update notifications n set claimed_until = clock_timestamp() + $2::interval
from found f
where n.merchant_id = f.merchant_id and n.id = f.id and n.due_at <= business_now()
  and (n.claimed_until is null or n.claimed_until < clock_timestamp())
returning n.merchant_id, n.id, n.rail, n.payments, n.refunds, n.tries;

-- name: put_off_notification
-- When a notification is read next; without a time, all it names was read.
update notifications set due_at = business_now() + $3::interval, tries = tries + 1, claimed_until = null
where merchant_id = $1 and id = $2;

-- name: payment_there
-- The payment that a provider's account knows by this reference.
select {payment_columns} from payments where merchant_id = $1 and account = $2 and reference = $3;

-- name: refund_there
-- Our refund that a provider's account knows by this id.
select {refund_columns} from refunds
where merchant_id = $1 and provider_id = $3
  and payment_id in (select id from payments where merchant_id = $1 and account = $2)
order by created_at limit 1;

-- name: claim_lists
-- Rails whose list of refunds is due to be read on, one process at a time.
with found as (
    select merchant_id, name from rails
    where removed_at is null and list_at <= business_now()
      and (list_claimed_until is null or list_claimed_until < clock_timestamp())
    order by list_at limit $1 for update skip locked
)
update rails r set list_claimed_until = clock_timestamp() + $2::interval
from found f
where r.merchant_id = f.merchant_id and r.name = f.name and r.list_at <= business_now()
  and (r.list_claimed_until is null or r.list_claimed_until < clock_timestamp())
returning r.merchant_id, r.name, r.list_since, r.list_cursor, r.list_began_at, r.look_only_since, r.look_only_at,
          r.created_at, r.list_claimed_until;

-- name: keep_place
-- How far a list was read, while the claim is still ours; the claim goes on.
update rails set list_since = $4, list_cursor = $5, list_began_at = $6,
                 list_claimed_until = clock_timestamp() + $7::interval
where merchant_id = $1 and name = $2 and list_claimed_until = $3
returning list_claimed_until;

-- name: end_list_turn
-- When a list is read on next; whoever lost the claim changes nothing.
update rails set list_at = business_now() + $4::interval, list_claimed_until = null
where merchant_id = $1 and name = $2 and list_claimed_until = $3;

-- name: list_soon
-- A list is to be read on at once.
update rails set list_at = least(list_at, business_now()) where merchant_id = $1 and name = $2;

-- name: note_finding
-- Writes a difference down, or opens it again; what was seen last counts. What a person has settled stays settled while
-- its figures are the same. Says whether it is new.
insert into findings as f
    (merchant_id, rail, kind, reference, payment, payment_id, refund_id, currency, theirs, ours, note, found_at, settled_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, business_now(), case when $12::boolean then business_now() end)
on conflict (merchant_id, rail, kind, reference) do update
    set payment_id = excluded.payment_id, refund_id = excluded.refund_id, theirs = excluded.theirs,
        ours = excluded.ours, note = excluded.note,
        settled_at = case when f.settled_by is not null and (f.theirs, f.ours) is not distinct from
                               (excluded.theirs, excluded.ours) then f.settled_at else excluded.settled_at end,
        settled_by = case when (f.theirs, f.ours) is not distinct from (excluded.theirs, excluded.ours)
                          then f.settled_by end
returning (xmax = 0) as is_new;

-- name: settle_findings
-- Our books and the provider agree about this refund now, or a person says that it is settled.
update findings set settled_at = business_now(), settled_by = $4
where merchant_id = $1 and rail = $2 and reference = $3 and settled_at is null;

-- name: list_findings
-- Differences of a merchant, of one rail or all, newest first.
select rail, kind, reference, payment, payment_id, refund_id, currency, theirs, ours, note, found_at, settled_at,
       settled_by
from findings
where merchant_id = $1 and ($2::text is null or rail = $2) and (settled_at is null or not $3::boolean)
order by found_at desc, kind, reference limit $4;

-- name: look_only
-- From now on a rail only looks; an earlier beginning of the gap counts.
update rails set look_only_since = least(look_only_since, $3), look_only_at = business_now(), look_only_why = $4,
                 list_at = business_now()
where merchant_id = $1 and name = $2 and removed_at is null returning name;

-- name: look_no_longer
-- Sending over a rail resumes, unless it was told to look again in between.
update rails set look_only_since = null, look_only_at = null, look_only_why = null
where merchant_id = $1 and name = $2 and look_only_at = $3 returning name;

-- name: look_only_rails
-- The rails that only look, of one merchant or of all.
select merchant_id, name, look_only_since, look_only_at, look_only_why from rails
where removed_at is null and look_only_since is not null and ($1::uuid is null or merchant_id = $1)
order by merchant_id, name;

-- name: cell_past
-- Which past this database has: its cluster's identifier and its timeline, as they are and as they were kept.
select c.system_identifier as kept_system, c.timeline as kept_timeline,
       (select system_identifier::text from pg_control_system()) as system,
       ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer as timeline
from cell c;

-- name: keep_past
-- Keeps the past for the first time; no row comes back where one is kept.
update cell set system_identifier = $1, timeline = $2 where system_identifier is null or timeline is null
returning epoch;

-- name: new_past
-- Another past than the one that was kept: one process notices, the epoch of event cursors rises, and every rail to a
-- real provider only looks from the last event on.
with noticed as (
    update cell set system_identifier = $1, timeline = $2, epoch = epoch + 1
    where (system_identifier, timeline) is distinct from ($1, $2) returning epoch),
lasts as (
    select r.merchant_id, r.name,
           coalesce((select e.at from events e where e.merchant_id = r.merchant_id order by e.xid desc, e.id desc limit 1),
                    r.created_at) as since
    from rails r, noticed where r.removed_at is null),
looking as (
    update rails r set look_only_since = least(r.look_only_since, l.since), look_only_at = business_now(),
                       look_only_why = 'restored', list_at = business_now()
    from lasts l where r.merchant_id = l.merchant_id and r.name = l.name returning r.name)
select (select epoch from noticed) as epoch, (select count(*) from looking) as rails;

-- name: read_epoch
-- In which past event cursors are given out now.
select epoch from cell;

-- name: raise_epoch
-- Event cursors that were given out before are of another past.
update cell set epoch = epoch + 1 returning epoch;

-- name: payments_moved_since
-- Payments of an account with movements since then, or with refunds that were not sent.
select {payment_columns} from payments p
where merchant_id = $1 and account = $2
  and (exists (select from movements m where m.merchant_id = p.merchant_id and m.payment_id = p.id and m.at >= $3)
       or exists (select from refunds r where r.merchant_id = p.merchant_id and r.payment_id = p.id
                  and r.state in ('awaiting_approval', 'scheduled', 'ready')))
order by created_at;

-- name: refunds_of_account
-- Refunds of an account that were armed at some time and have not ended before then, and when each was armed first.
select {refund_columns}, a.armed_at from refunds r
join lateral (select min(armed_at) as armed_at from attempts a
              where a.merchant_id = r.merchant_id and a.refund_id = r.id and a.kind = 'refund') a on true
where merchant_id = $1 and payment_id in (select id from payments where merchant_id = $1 and account = $2)
  and generation > 0 and (ended_at is null or ended_at >= $3)
order by created_at, id;

-- name: externals_of_account
-- Refunds of an account's payments that were made elsewhere and were seen since then.
select x.payment_id, p.reference, x.provider_id, x.amount, p.currency, x.undone, x.at from externals x
join payments p on p.merchant_id = x.merchant_id and p.id = x.payment_id
where x.merchant_id = $1 and p.account = $2 and x.at >= $3 order by x.at, x.provider_id;
