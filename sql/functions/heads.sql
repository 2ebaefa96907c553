-- Returns the position of each shard's last event, -1 if there is none.
create or replace function heads() returns table (shard integer, head bigint)
language plpgsql stable
set search_path from current as $$
begin
  if is_partitioned('events') then
    return query select s.shard, head_of(s.shard) from shards s;
  else
    -- On Citus, a function that reads the log can't run inside a statement that does.
    return query
      select
        s.shard,
        coalesce((select max(e.position) from events e where e.shard = s.shard), -1)
      from shards s;
  end if;
end
$$;
