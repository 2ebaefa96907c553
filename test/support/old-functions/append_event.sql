-- Appends one event that is no flush to a shard, in one round trip.
--
-- Gives its position; where an event of the same source and idempotency key is there already, that
-- one's, and nothing is appended.
--
-- Lock: the shard's row, until commit.
create or replace function append_event(
  p_shard integer,
  p_type text,
  p_version smallint,
  p_source text,
  p_idempotency_key text,
  p_payload text,
  p_payload_sha256 text
) returns table ("position" bigint, replayed boolean)
language plpgsql
set search_path from current as $$
declare
  v_position bigint;
  v_recorded_at timestamptz;
begin
  perform from shards s where s.shard = p_shard for update;

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
  v_recorded_at := greatest(clock_timestamp(), v_recorded_at);

  insert into events (
    shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
  ) values (
    p_shard, v_position, p_type, p_version, v_recorded_at, p_source, p_idempotency_key,
    p_payload::json, decode(p_payload_sha256, 'hex')
  );

  return query select v_position, false;
end
$$;
