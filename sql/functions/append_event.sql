-- Appends one event that is not a flush to a shard, in one round trip, as append_batch does with a
-- batch of one and whatever the catalog is.
--
-- Returns its position. If the shard already has an event with the same source and idempotency key,
-- returns the position of that one and appends nothing.
--
-- TB002, 23505: as in append_batch.
create or replace function append_event(
  p_shard integer,
  p_type text,
  p_version smallint,
  p_source text,
  p_idempotency_key text,
  p_payload text,
  p_payload_sha256 text,
  -- During an upgrade, instances of an older release don't pass these.
  p_clock timestamptz default null,
  p_clock_tolerance interval default null
) returns table ("position" bigint, replayed boolean)
language plpgsql
set search_path from current as $$
begin
  return query
    select
      coalesce(a.replayed_positions[1], a.first_position),
      cardinality(a.replayed_positions) > 0
    from append_batch(
      p_shard, null, p_type, p_version::text, p_source, p_idempotency_key, p_payload,
      p_payload_sha256, null, p_clock, p_clock_tolerance
    ) a;
end
$$;
