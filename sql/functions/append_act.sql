-- Appends one act to shard 0, as append_event does, and makes it the newest one.
--
-- Returns its position, and whether an act with the same source and idempotency key is already
-- there (then nothing was appended). The position is null, and nothing was appended, if the newest
-- act is another one than that at p_act_position.
--
-- Lock: shard 0's row.
--
-- TB002, 23505: as in append_batch.
create or replace function append_act(
  p_act_position bigint,
  p_type text,
  p_version smallint,
  p_source text,
  p_idempotency_key text,
  p_payload text,
  p_payload_sha256 text,
  p_clock timestamptz,
  p_clock_tolerance interval
) returns table ("position" bigint, replayed boolean)
language plpgsql
set search_path from current as $$
declare
  v_act_position bigint;
  v_position bigint;
  v_replayed boolean;
begin
  select s.act_position into strict v_act_position
  from shards s
  where s.shard = 0
  for update;

  if v_act_position <> p_act_position then
    return query select null::bigint, false;
    return;
  end if;

  select a.position, a.replayed into strict v_position, v_replayed
  from append_event(
    0, p_type, p_version, p_source, p_idempotency_key, p_payload, p_payload_sha256, p_clock,
    p_clock_tolerance
  ) a;

  if not v_replayed then
    update shards s set act_position = v_position where s.shard = 0;
  end if;

  return query select v_position, v_replayed;
end
$$;
