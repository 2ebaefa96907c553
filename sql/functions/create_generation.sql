-- Creates the partition of a projection's table that holds one generation. Does nothing if it
-- exists. Only the owner may call it.
--
-- Attaching a table blocks no reader or writer; `create table ... partition of` would.
create or replace function create_generation(
  p_table text,
  p_generation integer,
  p_fillfactor integer
) returns void
language plpgsql
set search_path from current as $$
declare
  v_partition text := p_table || '_' || p_generation;
begin
  if not is_partitioned(p_table) or p_generation < 1 then
    raise exception 'no generations of %', p_table using errcode = 'invalid_parameter_value';
  end if;
  if to_regclass(v_partition) is not null then
    return;
  end if;
  execute format(
    'create table %I (like %I including defaults) with (fillfactor = %s)',
    v_partition, p_table, p_fillfactor
  );
  execute format(
    'alter table %I attach partition %I for values in (%s)',
    p_table, v_partition, p_generation
  );
end
$$;
