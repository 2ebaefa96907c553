-- Returns the first position of a shard recorded at p_at or later, of those from p_low up to
-- p_high, exclusive; p_high if there is none. By default it looks through the whole log. All events
-- of the range must be in the database. Bisects, as recorded_at never decreases within a shard:
-- this takes some 30 index probes however long the log is, and needs no index on recorded_at.
create or replace function position_at(
  p_shard integer,
  p_at timestamptz,
  p_low bigint default 0,
  p_high bigint default null
) returns bigint
language plpgsql stable
set search_path from current as $$
declare
  v_low bigint := p_low;
  v_high bigint := coalesce(p_high, head_of(p_shard) + 1);
  v_middle bigint;
  v_recorded_at timestamptz;
begin
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
