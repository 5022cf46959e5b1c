-- The engine's tables. Every key starts with the merchant and every unique constraint contains it; amounts are
-- integer minor units beside a currency; a refund's states are plain text, checked by the code's own table.

create table merchants (
    merchant_id uuid primary key,
    name        text        not null,
    settings    jsonb       not null default '{}',
    created_at  timestamptz not null
);

-- Who may call: native API keys (dialect 'native', scopes) and each dialect's credentials (profile).
create table credentials (
    merchant_id uuid        not null references merchants,
    id          uuid        not null,
    dialect     text        not null,
    lookup      text        not null,   -- the public half of the scheme, or the hash of the secret where it has none
    secret_hash bytea       not null,
    name        text        not null default '',
    scopes      text[]      not null default '{}',
    profile     jsonb       not null default '{}',
    created_at  timestamptz not null,
    revoked_at  timestamptz,
    primary key (merchant_id, id)
);
create unique index credentials_lookup on credentials (dialect, lookup);

-- Short-lived bearer tokens that stand for a credential; times are business time.
create table tokens (
    token_hash    bytea       primary key,
    merchant_id   uuid        not null,
    credential_id uuid        not null,
    expires_at    timestamptz not null
);

create table rails (
    merchant_id uuid  not null references merchants,
    name        text  not null,
    account     text  not null,
    connector   text  not null,
    settings    jsonb not null default '{}',
    primary key (merchant_id, name)
);
create index rails_account on rails (connector, account);

create table orders (
    merchant_id uuid   not null,
    id          uuid   not null,
    dialect     text   not null,
    reference   text   not null,
    version     bigint not null,
    payments    uuid[] not null,
    primary key (merchant_id, id),
    unique (merchant_id, dialect, reference)
);

create table payments (
    merchant_id  uuid        not null,
    id           uuid        not null,
    version      bigint      not null,
    xid          xid8        not null,   -- the transaction that last wrote this row: see the event order
    dialect      text        not null,
    dialect_id   text        not null,
    rail         text        not null,
    account      text        not null,
    reference    text        not null,
    currency     text        not null,
    condition    text        not null,
    authorized   bigint      not null check (authorized >= 0),
    captured     bigint      not null check (captured >= 0),
    fees         bigint      not null check (fees between 0 and captured or fees >= 0 and condition <> 'captured'),
    held         bigint      not null check (held >= 0),
    refunded     bigint      not null check (refunded >= 0),
    external     bigint      not null check (external >= 0),
    disputed     bigint      not null check (disputed >= 0),
    clawed_back  bigint      not null check (clawed_back >= 0),
    excess       bigint      not null check (excess >= 0),
    wallet_used  bigint      not null,
    fee_used     bigint      not null check (fee_used >= 0),
    amount_known boolean     not null,
    open_cases   integer     not null check (open_cases >= 0),
    excess_case  boolean     not null,
    rail_gap     bigint,
    fence        uuid,
    order_ref    text,
    captured_at  timestamptz,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    details      jsonb       not null,
    primary key (merchant_id, id),
    unique (merchant_id, dialect, dialect_id),
    unique (merchant_id, account, reference),
    -- What left a payment never exceeds what came in, but for what a provider did on its own, which is excess.
    constraint never_more_than_came_in check (held + refunded + external + disputed + clawed_back <= captured + excess)
);
create index payments_by_order on payments (merchant_id, dialect, order_ref) where order_ref is not null;
create index payments_by_age on payments (merchant_id, dialect, created_at, id);

create table refunds (
    merchant_id   uuid        not null,
    id            uuid        not null,
    payment_id    uuid        not null,
    version       bigint      not null,
    dialect       text        not null,
    dialect_id    text        not null,
    rail          text        not null,
    currency      text        not null,
    payer         bigint      not null,
    wallet        bigint      not null,
    fee_return    bigint      not null,
    state         text        not null,
    generation    integer     not null,
    provider_id   text,
    evidence_version integer  not null,
    equality      bytea,
    group_id      uuid,
    due_at        timestamptz,
    look_at       timestamptz,
    human_since   timestamptz,
    doubt_since   timestamptz,
    claimed_until timestamptz,
    lease_until   timestamptz,
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    ended_at      timestamptz,
    details       jsonb       not null,
    primary key (merchant_id, id),
    unique (merchant_id, dialect, dialect_id),
    foreign key (merchant_id, payment_id) references payments,
    check (payer = wallet + fee_return),
    check (payer > 0 or state = 'failed')
);
create index refunds_of_payment on refunds (merchant_id, payment_id);
create index refunds_by_age on refunds (merchant_id, created_at, id);
create index refunds_equal on refunds (merchant_id, payment_id, equality) where equality is not null;
create index refunds_by_provider_id on refunds (merchant_id, rail, provider_id) where provider_id is not null;
create index refunds_ready on refunds (claimed_until) where state = 'ready';
create index refunds_sending on refunds (lease_until) where state = 'sending';
create index refunds_to_look_at on refunds (look_at) where look_at is not null;
create index refunds_scheduled on refunds (due_at) where state = 'scheduled';
create index refunds_for_people on refunds (merchant_id, human_since) where human_since is not null;

create table attempts (
    merchant_id   uuid        not null,
    refund_id     uuid        not null,
    generation    integer     not null,
    kind          text        not null,
    mark          text        not null,
    amount        bigint,
    outcome       text        not null,
    armed_at      timestamptz not null,
    send_deadline timestamptz not null,
    lease_until   timestamptz not null,
    pre_read      jsonb       not null,
    primary key (merchant_id, refund_id, generation)
);

create table evidence (
    merchant_id uuid        not null,
    id          uuid        not null,
    payment_id  uuid        not null,
    refund_id   uuid,
    event       text        not null,
    grade       text        not null,
    source      text        not null,
    counted     boolean     not null,
    at          timestamptz not null,
    occurred_at timestamptz,
    amount      bigint,
    provider_id text,
    digest      text        not null,
    generation  integer,
    data        jsonb       not null,
    primary key (merchant_id, id)
);
create index evidence_of_refund on evidence (merchant_id, refund_id, at) where refund_id is not null;
create index evidence_of_payment on evidence (merchant_id, payment_id, at);

create table movements (
    merchant_id uuid        not null,
    id          bigint      generated always as identity,
    payment_id  uuid        not null,
    refund_id   uuid,
    kind        text        not null,
    debit       text        not null,
    credit      text        not null,
    amount      bigint      not null check (amount > 0),
    currency    text        not null,
    at          timestamptz not null,
    primary key (merchant_id, id),
    check (debit <> credit)
);
create index movements_of_payment on movements (merchant_id, payment_id);

create table accounts (
    merchant_id uuid   not null,
    name        text   not null,
    currency    text   not null,
    balance     bigint not null,
    primary key (merchant_id, name, currency)
);

create table events (
    merchant_id uuid        not null,
    id          bigint      generated always as identity,
    xid         xid8        not null default pg_current_xact_id(),
    type        text        not null,
    object_id   uuid        not null,
    sequence    bigint      not null,
    payment_id  uuid        not null,
    at          timestamptz not null,
    data        jsonb       not null,
    primary key (merchant_id, object_id, sequence)
);
create index events_in_order on events (merchant_id, xid, id);

create table externals (
    merchant_id uuid        not null,
    payment_id  uuid        not null,
    provider_id text        not null,
    amount      bigint      not null,
    wallet      bigint      not null,
    fee_return  bigint      not null,
    undone      boolean     not null,
    at          timestamptz not null,
    primary key (merchant_id, payment_id, provider_id)
);

create table disputes (
    merchant_id uuid        not null,
    payment_id  uuid        not null,
    reference   text        not null,
    amount      bigint      not null,
    status      text        not null,
    updated_at  timestamptz not null,
    primary key (merchant_id, payment_id, reference)
);

create table cases (
    merchant_id uuid        not null,
    payment_id  uuid        not null,
    number      integer     not null,
    kind        text        not null,
    refund_id   uuid,
    opened_at   timestamptz not null,
    closed_at   timestamptz,
    closed_by   text,
    note        text,
    figures     jsonb       not null,
    primary key (merchant_id, payment_id, number)
);

create table idempotency (
    merchant_id uuid        not null,
    dialect     text        not null,
    key         text        not null,
    fingerprint bytea       not null,
    refund_id   uuid,
    status      integer,
    answer      bytea,
    answer_due  timestamptz not null,
    created_at  timestamptz not null,
    primary key (merchant_id, dialect, key)
);
create index idempotency_by_age on idempotency (created_at);

-- What core need not understand: a dialect's own objects. Money facts never live here.
create table documents (
    merchant_id uuid        not null,
    dialect     text        not null,
    kind        text        not null,
    id          text        not null,
    number      bigint      generated always as identity,
    data        jsonb       not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    primary key (merchant_id, dialect, kind, id)
);
create index documents_by_age on documents (merchant_id, dialect, kind, number);

-- One row. Business time is real time plus this offset; it stays 0 outside sandbox and twin.
create table clock (
    only_row boolean  primary key default true check (only_row),
    movable  boolean  not null default false,
    ahead    interval not null default '0',
    check (movable or ahead = '0'),
    check (ahead >= '0')
);
insert into clock default values;

create function business_now() returns timestamptz language sql volatile
    return clock_timestamp() + (select ahead from clock);

-- One row. The epoch of this database's event cursors; raised on restore.
create table cell (
    only_row          boolean primary key default true check (only_row),
    epoch             integer not null default 1,
    system_identifier text
);
insert into cell default values;
