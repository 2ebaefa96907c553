-- Fails with TB002 where the clock of this server is further from the caller's than the caller
-- bears: what is recorded under a wrong clock stays in the log for good. Null: no check.
create or replace function check_clock(p_clock timestamptz, p_tolerance interval) returns void
language plpgsql
set search_path from current as $$
declare
  v_clock timestamptz := clock_timestamp();
begin
  if v_clock not between p_clock - p_tolerance and p_clock + p_tolerance then
    raise exception 'the clock of the database says %, that of the service %', v_clock, p_clock
      using errcode = 'TB002';
  end if;
end
$$;
