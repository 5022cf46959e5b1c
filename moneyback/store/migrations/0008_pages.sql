-- A deep page skips what comes before it in the index alone: all it is filtered by most often lies there.

drop index refunds_by_age;
create index refunds_by_age on refunds (merchant_id, created_at, id) include (dialect);
