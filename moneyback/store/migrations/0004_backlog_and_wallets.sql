-- A backlog is claimed in the order it came in: reading stops at the first refunds that are free, however many follow.

drop index refunds_ready;
create index refunds_ready on refunds (created_at) where state = 'ready';

-- A wallet's statement: what left it and what reached it. Other accounts are sums, and nobody pages through them.
create index movements_from_wallet on movements (merchant_id, debit, id) where debit like 'wallet/%';
create index movements_to_wallet on movements (merchant_id, credit, id) where credit like 'wallet/%';

-- Objects are found by their members.
create index documents_by_member on documents using gin (data jsonb_path_ops);
