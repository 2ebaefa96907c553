-- Marks a segment of the archive: reads take its events from there. Makes the table that will take
-- its place (leave_segment), so that it is older than all snapshots by then. Does nothing if the
-- segment is marked already. Only the owner may call it.
create or replace function mark_leaving(p_shard integer, p_first bigint) returns void
language plpgsql
set search_path from current as $$
declare
  v_table text := segment_table(p_shard, p_first);
begin
  perform pg_advisory_xact_lock(7365006);
  if exists (
    select
    from archived_segments a
    where a.shard = p_shard and a.first_position = p_first and a.leaving_at is null
  ) then
    execute format('drop table if exists %I', v_table || '_restored');
    perform copy_segment(v_table, v_table || '_next');
    perform bound_segment(v_table, v_table || '_next');
    update archived_segments a
    set leaving_at = clock_timestamp()
    where a.shard = p_shard and a.first_position = p_first;
  end if;
end
$$;
