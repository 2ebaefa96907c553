-- Appends one event that is not a flush to a shard, in one round trip.
--
-- Returns its position. If the shard already has an event with the same source and idempotency key,
-- returns the position of that one and appends nothing.
--
-- TB002: this server's clock differs from p_clock, the caller's, by more than p_clock_tolerance.
--
-- Lock: the shard's row, until commit. 23505: another append has taken the position, as in
-- append_batch.
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
declare
  v_not_before timestamptz;
  v_position bigint;
  v_recorded_at timestamptz;
begin
  perform check_clock(p_clock, p_clock_tolerance);

  select s.not_before into strict v_not_before
  from shards s
  where s.shard = p_shard
  for update;

  select e.position into v_position
  from events e
  where e.shard = p_shard and e.source = p_source and e.idempotency_key = p_idempotency_key;
  if found then
    return query select v_position, true;
    return;
  end if;

  select e.position, e.recorded_at into v_position, v_recorded_at
  from events e
  where e.shard = p_shard
  order by e.position desc
  limit 1;

  v_position := coalesce(v_position, -1) + 1;
  v_recorded_at := greatest(clock_timestamp(), v_recorded_at, v_not_before);

  insert into events (
    shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
  ) values (
    p_shard, v_position, p_type, p_version, v_recorded_at, p_source, p_idempotency_key,
    p_payload::json, decode(p_payload_sha256, 'hex')
  );

  return query select v_position, false;
end
$$;
