-- Telling clients' own programs what happened here.

-- A dialect's own secret, sealed, where something must be signed with it; it is still looked up by its hash.
alter table credentials add column sealed bytea;

-- Either a provider's notification was sent on for a rail, or a dialect, or the native API ('native'), had something to
-- tell: of an object, whose deliveries to one hook go out one after another, in the order of their numbers.
alter table deliveries
    alter column rail drop not null,
    add column dialect   text,
    add column event     text,
    add column object_id uuid,
    add column number    bigint generated always as identity;
create index deliveries_in_turn on deliveries (merchant_id, object_id, hook, number)
    where object_id is not null and due_at is not null;
create index deliveries_to_forget on deliveries (ended_at) where ended_at is not null and sealed is not null;

-- How far each merchant's event log has been followed to tell what happened, in which epoch of the cell, and who is at
-- it (real time). What happened before there were followers is told to nobody.
create table followers (
    merchant_id   uuid        primary key references merchants,
    xid           xid8        not null default '0',
    event_id      bigint      not null default 0,
    epoch         integer     not null default 1,
    claimed_until timestamptz not null default '-infinity'
);
insert into followers (merchant_id, xid, epoch)
select merchant_id, pg_snapshot_xmin(pg_current_snapshot()), (select epoch from cell) from merchants;

-- Where a merchant's own programs are told of events in the native form. A secret that was replaced signs beside the
-- new one until `former_until`, which is real time, as are the times that are signed.
create table endpoints (
    merchant_id  uuid        not null references merchants,
    id           uuid        not null,
    url          text        not null,
    events       text[]      not null,
    description  text        not null,
    sealed       bytea       not null,
    former       bytea,
    former_until timestamptz,
    created_at   timestamptz not null,
    primary key (merchant_id, id)
);
