-- Where merchants' own programs are told of events in the native form.

-- name: add_endpoint
-- One more endpoint, unless the merchant has as many as there may be.
insert into endpoints (merchant_id, id, url, events, description, sealed, created_at)
select $1, $2, $3, $4::text[], $5, $6, business_now()
where (select count(*) from endpoints where merchant_id = $1) < $7
returning merchant_id, id, url, events, description, created_at;

-- name: list_endpoints
-- A merchant's endpoints without anything secret, oldest first.
select merchant_id, id, url, events, description, created_at from endpoints
where merchant_id = $1 order by created_at, id;

-- name: remove_endpoint
-- Takes an endpoint away.
delete from endpoints where merchant_id = $1 and id = $2 returning id;

-- name: rotate_endpoint
-- Another secret; the one before it counts beside it for a while.
update endpoints set former = sealed, former_until = clock_timestamp() + $4::interval, sealed = $3
where merchant_id = $1 and id = $2
returning merchant_id, id, url, events, description, created_at;

-- name: read_endpoint_secrets
-- What an endpoint's deliveries are signed with now.
select sealed, case when former_until > clock_timestamp() then former end as former from endpoints
where merchant_id = $1 and id = $2;
