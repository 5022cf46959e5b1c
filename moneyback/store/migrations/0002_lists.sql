-- What lists need: an index for each order they are read in, so that a deep page costs what the first one does.

create index payments_of_merchant on payments (merchant_id, created_at, id);
drop index payments_by_order;
create index payments_by_order on payments (merchant_id, order_ref, dialect) where order_ref is not null;

-- A provider's id is an alias accepted for ever, whatever rail it came from.
drop index refunds_by_provider_id;
create index refunds_by_provider_id on refunds (merchant_id, provider_id, rail) where provider_id is not null;

create index refunds_of_group on refunds (merchant_id, group_id) where group_id is not null;
create index cases_open on cases (merchant_id, opened_at) where closed_at is null;
create index tokens_by_end on tokens (expires_at);
