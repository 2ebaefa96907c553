-- Takes the flushes of a segment out of the database; its other events stay. The archive must have
-- its file, readers must take its events from there since a while (leaving_at), and nothing may
-- need them in the database: its keys are packed, its leaves are in the tree, and no transaction is
-- older than leaving_at, nor a snapshot older than the table with the other events. Returns false
-- if that is not so: try again later. If the segment is one of those of `events_legacy`, all of
-- them that have not left do so together. Only the owner may call it.
--
-- Lock: the partition and its parent, for as long as it takes to exchange two tables. Killed before
-- the commit: nothing has left.
create or replace function leave_segment(p_shard integer, p_first bigint) returns boolean
language plpgsql
set search_path from current as $$
declare
  v_table text := segment_table(p_shard, p_first);
  v_next text := v_table || '_next';
  v_leaving timestamptz;
begin
  perform pg_advisory_xact_lock(7365006);
  if exists (
    select
    from segments g
      left join archived_segments a using (shard, first_position, end_position)
    where (g.shard = p_shard or v_table = 'events_legacy') and g.first_position = p_first
      and (
        a.leaving_at is null or (g.shard = p_shard and a.left_at is not null)
        or g.packed_through < g.end_position - 1
        -- The newest event never leaves: appends continue behind it.
        or not exists (
          select from events e where e.shard = g.shard and e.position >= g.end_position
        )
        or coalesce((
          select t.number * 256 + octet_length(t.hashes) / 32
          from tiles t
          where t.shard = g.shard and t.level = 0
          order by t.number desc
          limit 1
        ), 0) < g.end_position
      )
  ) then
    return false;
  end if;
  select max(a.leaving_at) into v_leaving
  from archived_segments a
  where (a.shard = p_shard or v_table = 'events_legacy') and a.first_position = p_first;
  if v_leaving is null or exists (
    select from pg_stat_activity s where s.xact_start < v_leaving and s.pid <> pg_backend_pid()
      and s.datname = current_database()
  ) then
    return false;
  end if;

  if to_regclass(quote_ident(v_next)) is null then
    perform copy_segment(v_table, v_next);
    perform bound_segment(v_table, v_next);
    return false;
  end if;
  if has_older_snapshot(v_next) then
    return false;
  end if;
  perform exchange_segment(v_table, v_next);
  update archived_segments a
  set left_at = clock_timestamp()
  where (a.shard = p_shard or v_table = 'events_legacy') and a.first_position = p_first
    and a.left_at is null;
  return true;
end
$$;
