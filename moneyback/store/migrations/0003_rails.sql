-- Rails to real providers: their sealed credentials, who owns which provider account, and what was said to it.

alter table rails
    add column sealed     bytea       not null default '',
    add column created_at timestamptz not null default now(),
    add column removed_at timestamptz;

-- A provider account belongs to one merchant; several of its rails may share it.
create table provider_accounts (
    connector   text not null,
    account     text not null,
    merchant_id uuid not null references merchants,
    primary key (connector, account)
);

-- Scrubbed recordings of exchanges with providers: evidence a person can read.
create table exchanges (
    merchant_id uuid        not null,
    id          uuid        not null,
    rail        text        not null,
    payment_id  uuid        not null,
    at          timestamptz not null,
    method      text        not null,
    path        text        not null,
    request     text        not null,
    status      integer,
    response    text        not null,
    failure     text,
    primary key (merchant_id, id)
);
create index exchanges_of_payment on exchanges (merchant_id, payment_id, at);
