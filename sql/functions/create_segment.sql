-- Makes the segment of a shard with p_positions positions from p_first on, which must be where the
-- newest one ends. Returns the position where it ends. If it exists already, returns where that one
-- ends; if the log is one table, as on Citus, does nothing and returns null. Only the owner may
-- call it.
--
-- Attaching a table blocks no append and no reader; `create table ... partition of` would. One call
-- at a time: the second finds the segment that the first has made.
create or replace function create_segment(
  p_shard integer,
  p_first bigint,
  p_positions bigint
) returns bigint
language plpgsql
set search_path from current as $$
declare
  v_parent text := 'events_' || p_shard;
  v_segment text := v_parent || '_' || p_first;
  v_end bigint;
begin
  if not is_partitioned('events') then
    return null;
  end if;
  perform pg_advisory_xact_lock(7365005);
  select s.end_position into v_end
  from segments s
  where s.shard = p_shard and s.first_position = p_first;
  if found then
    return v_end;
  end if;
  v_end := p_first + p_positions;
  if p_first <> coalesce(
    (select max(s.end_position) from segments s where s.shard = p_shard), 0
  ) then
    raise exception 'the newest segment of shard % does not end at %', p_shard, p_first
      using errcode = 'invalid_parameter_value';
  end if;

  if to_regclass(v_parent) is null then
    execute format(
      'create table %I (
         like events including defaults including constraints including storage
       ) partition by range (position)', v_parent
    );
    execute format(
      'create trigger events_refuse_truncate before truncate on %I
         for each statement execute function refuse_change()', v_parent
    );
    execute format(
      'alter table events_segments attach partition %I for values in (%s)', v_parent, p_shard
    );
  end if;

  execute format(
    'create table %I (like events including defaults including constraints including storage)',
    v_segment
  );
  -- The unique index of one segment: over all of them, append_batch looks keys up.
  execute format(
    'create unique index %I on %I (shard, source, idempotency_key)
       where idempotency_key is not null', v_segment || '_idempotency_key', v_segment
  );
  execute format(
    'create trigger events_refuse_truncate before truncate on %I
       for each statement execute function refuse_change()', v_segment
  );
  execute format(
    'alter table %I attach partition %I for values from (%s) to (%s)',
    v_parent, v_segment, p_first, v_end
  );
  insert into segments (shard, first_position, end_position, packed_through)
  values (p_shard, p_first, v_end, p_first - 1);
  return v_end;
end
$$;
