-- The statements of the bank's books, by name.

-- name: touch_pages
-- Opens or updates the pages of a batch in sorted order, locks them, and draws the numbers for their calls.
insert into bank.pages as p (account, reference, captured, captured_at, currency, scenario, calls)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::bigint[])
         as told (account, reference, captured, captured_at, currency, scenario, calls)
order by account collate "C", reference collate "C"
on conflict (account, reference) do update
set captured = excluded.captured, captured_at = excluded.captured_at, currency = excluded.currency,
    scenario = coalesce(p.scenario, excluded.scenario), calls = p.calls + excluded.calls
returning *;

-- name: entries_of_keys
-- Every entry with one of these keys, oldest first; read after the pages are locked.
select e.* from bank.entries e
join unnest($1::text[], $2::text[]) as wanted (account, key) on e.account = wanted.account and e.key = wanted.key
order by e.received_at, e.number;

-- name: write_entries
-- Writes the new entries of a batch.
insert into bank.entries (account, payment, number, key, mark, currency, asked, amount, received_at, rung, outcome,
                          scenario)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                     $8::bigint[], $9::timestamptz[], $10::smallint[], $11::text[], $12::text[]);

-- name: set_words
-- Writes the scenarios of a page whose row is locked.
update bank.pages set scenario = $3, next_scenario = $4 where account = $1 and reference = $2;

-- name: plan_notices
-- Plans notices; one whose time has moved is told again.
insert into bank.notices as n (account, payment, number, change, due_at)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[])
on conflict (account, payment, number, change) do update
set due_at = excluded.due_at, acknowledged = false where n.due_at <> excluded.due_at;

-- name: drop_notices
-- Forgets a payment's own changes that its scenario does not name any more.
delete from bank.notices where account = $1 and payment = $2 and number = 0 and change <> all ($3::text[]);

-- name: due_notices
-- What changed by itself and was not acknowledged, oldest first.
select id, account, payment, number, change, due_at from bank.notices
where not acknowledged and due_at <= $1 order by due_at, id limit $2;

-- name: acknowledge
-- These need not be told again.
update bank.notices set acknowledged = true where id = any ($1::bigint[]);

-- name: page
-- One page.
select * from bank.pages where account = $1 and reference = $2;

-- name: entries_of_payment
-- All entries of a payment, oldest first.
select * from bank.entries where account = $1 and payment = $2 order by number;

-- name: entry
-- One entry.
select * from bank.entries where account = $1 and payment = $2 and number = $3;

-- name: entries_of_key
-- The entries of a key, oldest first.
select * from bank.entries where account = $1 and key = $2 order by received_at, number;
