-- What a client's own hooks are to be told. Bodies are sealed, and gone once they were delivered.

create table deliveries (
    merchant_id   uuid        not null,
    id            uuid        not null,
    rail          text        not null,
    hook          text        not null,
    url           text        not null,
    method        text        not null,
    sealed        bytea,
    created_at    timestamptz not null,
    due_at        timestamptz,
    claimed_until timestamptz,
    tries         integer     not null default 0,
    status        integer,
    failure       text,
    ended_at      timestamptz,
    delivered     boolean     not null default false,
    primary key (merchant_id, id)
);
create index deliveries_due on deliveries (due_at) where due_at is not null;
create index deliveries_by_age on deliveries (merchant_id, created_at, id);
