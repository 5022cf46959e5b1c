-- What makes a page and a total of a long list cost what those of a short one do.

-- Places in lists of payments and refunds that no row ever leaves, one every so many rows: `rank` rows lie up to and
-- including it. `list` names the table and the conditions. They are drawn from the rows whenever somebody needs them,
-- so deleting them is always safe.
create table list_milestones (
    merchant_id uuid        not null,
    list        text        not null,
    rank        bigint      not null,
    created_at  timestamptz not null,
    id          uuid        not null,
    primary key (merchant_id, list, rank)
);
create index list_milestones_by_place on list_milestones (merchant_id, list, created_at, id) include (rank);

-- The same for documents, which lie by their numbers. Documents are dropped, so a milestone holds how many lie up to
-- and including it since the one before it: a drop changes one milestone, wherever it is.
create table document_milestones (
    merchant_id uuid   not null,
    dialect     text   not null,
    kind        text   not null,
    number      bigint not null,
    since       bigint not null,
    primary key (merchant_id, dialect, kind, number)
);

-- Whoever draws milestones of documents holds the lock that whoever drops one takes: none counts what is being dropped.
create function lock_document_milestones(merchant uuid, dialect text, kind text) returns void language sql
    return pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'documents', merchant, dialect, kind), 0));
create function document_dropped() returns trigger language plpgsql as $$
begin
    perform lock_document_milestones(old.merchant_id, old.dialect, old.kind);
    update document_milestones m set since = m.since - 1
    where (m.merchant_id, m.dialect, m.kind, m.number) = (
        select merchant_id, dialect, kind, number from document_milestones
        where merchant_id = old.merchant_id and dialect = old.dialect and kind = old.kind and number >= old.number
        order by number limit 1
    );
    return null;
end
$$;
create trigger document_dropped after delete on documents for each row execute function document_dropped();

-- Documents of a span of time. (Their list itself lies by their numbers, which follow the time they were made at.)
create index documents_by_creation on documents (merchant_id, dialect, kind, created_at);
create index documents_by_change on documents (merchant_id, dialect, kind, updated_at);

-- What lists of payments are filtered by. No refund changes any of it. Payments without a method, of the usual kind,
-- captured, or without a document have no place in the indexes of these.
create index payments_by_method on payments (merchant_id, dialect, (details ->> 'method'), created_at, id)
    where details ->> 'method' is not null;
create index payments_by_kind on payments (merchant_id, dialect, (details ->> 'kind'), created_at, id)
    where details ->> 'kind' is not null;
create index payments_by_condition on payments (merchant_id, dialect, condition, created_at, id)
    where condition <> 'captured';
create index payments_by_document on payments using gin ((details -> 'document') jsonb_path_ops)
    where details ? 'document';

-- Every refund changes its payment's row. With room on its page it stays there, and no index is written.
alter table payments set (fillfactor = 85);
