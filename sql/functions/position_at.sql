-- Returns the first position of a shard recorded at p_at or later, or the position after the head
-- if there is none. Bisects, as recorded_at never decreases within a shard: this takes some 30
-- index probes however long the log is, and needs no index on recorded_at.
create or replace function position_at(p_shard integer, p_at timestamptz) returns bigint
language plpgsql stable
set search_path from current as $$
declare
  v_low bigint := 0;
  v_high bigint;
  v_middle bigint;
  v_recorded_at timestamptz;
begin
  v_high := head_of(p_shard) + 1;
  while v_low < v_high loop
    v_middle := (v_low + v_high) / 2;
    select e.recorded_at into v_recorded_at
    from events e
    where e.shard = p_shard and e.position = v_middle;
    if v_recorded_at < p_at then
      v_low := v_middle + 1;
    else
      v_high := v_middle;
    end if;
  end loop;
  return v_low;
end
$$;
