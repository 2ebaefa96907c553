-- Drops the partition of a projection's table that holds one generation. Fails if that one is live;
-- does nothing if it doesn't exist. Only the owner may call it.
--
-- Locks the whole table against readers for a moment. While it waits for the lock, readers wait
-- behind it, so the caller must make sure that no one reads for long, and set a short lock_timeout.
create or replace function drop_generation(
  p_projection text,
  p_table text,
  p_generation integer
) returns void
language plpgsql
set search_path from current as $$
declare
  v_partition text := p_table || '_' || p_generation;
begin
  if not is_partitioned(p_table) then
    raise exception 'no generations of %', p_table using errcode = 'invalid_parameter_value';
  end if;
  if exists (
    select from projections p
    where p.projection = p_projection and p.generation = p_generation
  ) then
    raise exception 'generation % of % is live', p_generation, p_projection
      using errcode = 'object_in_use';
  end if;
  -- One at a time: on Citus the second would fail over what the first has dropped meanwhile.
  perform pg_advisory_xact_lock(7365004);
  if to_regclass(v_partition) is null then
    return;
  end if;
  execute format('drop table %I', v_partition);
end
$$;
