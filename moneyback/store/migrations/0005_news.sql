-- News from providers: what they send to us, what their lists show, what differs from our books, and rails that only
-- look until that is known.

-- Where a rail's provider sends its notifications: an address nobody can guess leads to a merchant's rail.
create table hooks (
    token       text primary key default replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''),
    merchant_id uuid not null,
    rail        text not null,
    unique (merchant_id, rail),
    foreign key (merchant_id, rail) references rails
);
insert into hooks (merchant_id, rail) select merchant_id, name from rails;

-- What a provider sent, scrubbed: kept first, read in the background. `due_at` is business time; null when all it names
-- was read.
create table notifications (
    merchant_id   uuid        not null,
    id            uuid        not null,
    rail          text        not null,
    digest        text        not null,
    payments      text[]      not null,
    refunds       text[]      not null,
    raw           text        not null,
    came_at       timestamptz not null,
    times         integer     not null default 1,
    tries         integer     not null default 0,
    due_at        timestamptz,
    claimed_until timestamptz,
    primary key (merchant_id, id),
    unique (merchant_id, rail, digest)
);
create index notifications_due on notifications (due_at) where due_at is not null;

-- What a provider's list or statement says otherwise than our books. Settled when they agree, or by a person.
create table findings (
    merchant_id uuid        not null,
    rail        text        not null,
    kind        text        not null,
    reference   text        not null,
    payment     text        not null default '',
    payment_id  uuid,
    refund_id   uuid,
    currency    text,
    theirs      bigint,
    ours        bigint,
    note        text        not null default '',
    found_at    timestamptz not null,
    settled_at  timestamptz,
    settled_by  text,
    primary key (merchant_id, rail, kind, reference)
);
create index findings_open on findings (merchant_id, rail) where settled_at is null;

-- How far the reading of a rail's refunds has come, and who is at it (real time). A rail that only looks arms nothing:
-- what was sent over it since `look_only_since` may be missing here; it was found out at `look_only_at`.
alter table rails
    add column list_cursor        jsonb       not null default '{}',
    add column list_since         timestamptz,
    add column list_began_at      timestamptz,
    add column list_at            timestamptz not null default now(),
    add column list_claimed_until timestamptz,
    add column look_only_since    timestamptz,
    add column look_only_at       timestamptz,
    add column look_only_why      text;

-- A conversation about an account, such as its list of refunds, is about no payment of ours.
alter table exchanges alter column payment_id drop not null;

-- With the system's identifier: another timeline is another past.
alter table cell add column timeline integer;
