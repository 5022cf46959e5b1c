-- A rail that was taken out of use takes no refund any more, however far its admission had come: either the removal sees
-- the refund, or the admission sees the removal and is decided again.

create function keep_removed_rails_empty() returns trigger language plpgsql as $$
begin
    -- Locked until the commit: who takes the rail out of use waits for it. The sandbox's rails have no rows here.
    perform from rails r
    where (r.merchant_id, r.name) in (select f.merchant_id, f.rail from fresh f where f.ended_at is null)
    order by r.merchant_id, r.name for share;
    if exists (select from rails r where r.removed_at is not null and (r.merchant_id, r.name) in
               (select f.merchant_id, f.rail from fresh f where f.ended_at is null)) then
        raise exception 'a refund on a rail that was taken out of use just now' using errcode = 'serialization_failure';
    end if;
    return null;
end
$$;

create trigger removed_rails_stay_empty after insert on refunds
    referencing new table as fresh for each statement execute function keep_removed_rails_empty();
