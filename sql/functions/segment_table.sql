-- Returns the name of the partition that has a segment of a shard.
create or replace function segment_table(p_shard integer, p_first bigint) returns text
language sql stable
set search_path from current as $$
  select case
    when p_first = 0 and to_regclass('events_legacy') is not null then 'events_legacy'
    else format('events_%s_%s', p_shard, p_first)
  end
$$;
