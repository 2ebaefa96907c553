-- Fails with TB002 if this server's clock differs from the caller's by more than the caller
-- tolerates: events recorded under a wrong clock stay in the log forever. Null skips the check.
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
