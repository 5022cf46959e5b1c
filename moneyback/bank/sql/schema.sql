-- The sandbox bank's books. A schema of its own: nothing of the engine refers to it, and no transaction spans both.

create schema if not exists bank;

create table if not exists bank.pages (
    account       text collate "C" not null,  -- starts with the merchant
    reference     text collate "C" not null,
    captured      bigint not null check (captured >= 0),
    captured_at   timestamptz,
    currency      text not null,
    scenario      text,
    next_scenario text,
    calls         bigint not null default 0,
    primary key (account, reference)
) with (fillfactor = 80);

comment on table bank.pages is 'One row for each payment the bank has heard of; its lock orders the calls about it.';

create table if not exists bank.entries (
    account     text collate "C" not null,
    payment     text collate "C" not null,
    number      bigint not null,
    key         text collate "C",
    mark        text,
    currency    text not null,
    asked       bigint not null check (asked > 0),
    amount      bigint not null check (amount > 0),
    received_at timestamptz not null,  -- business time
    rung        smallint not null,
    outcome     text not null,
    scenario    text not null,
    primary key (account, payment, number)
);

comment on table bank.entries is 'One row for each call the bank took. Append-only: what time changes is derived.';

create index if not exists entries_key on bank.entries (account, key) where key is not null;

create table if not exists bank.notices (
    id           bigint generated always as identity,
    account      text collate "C" not null,
    payment      text collate "C" not null,
    number       bigint not null,  -- of the entry; 0 for the payment itself
    change       text not null,
    due_at       timestamptz not null,  -- business time
    acknowledged boolean not null default false,
    primary key (account, payment, number, change)
);

comment on table bank.notices is 'One row for each change that time brings by itself, told until it is acknowledged.';

create unique index if not exists notices_id on bank.notices (id);
create index if not exists notices_due on bank.notices (due_at, id) where not acknowledged;
