-- Adds the missing roots of a shard's full tiles to the level above, on all levels: at most p_limit
-- per level. A partial tile has no root.
--
-- Only integrate_events may call it, which holds the lock of all tiles of the shard (40001: as
-- there). Killed before the commit: nothing was added. The next call adds what is missing, so a
-- database that has only the tiles of level 0, as older releases made them, catches up.
create or replace function integrate_roots(p_shard integer, p_limit integer) returns void
language plpgsql
set search_path from current as $$
declare
  v_level integer := 0;
  v_full bigint;
  v_next bigint;
  v_end bigint;
  v_found bigint;
  v_numbers bigint[];
  v_hashes bytea[];
  v_written integer;
begin
  select t.number + octet_length(t.hashes) / 8192 into v_full
  from tiles t
  where t.shard = p_shard and t.level = 0
  order by t.number desc
  limit 1;

  while v_full > 0 loop
    v_next := coalesce((
      select t.number * 256 + octet_length(t.hashes) / 32
      from tiles t
      where t.shard = p_shard and t.level = v_level + 1
      order by t.number desc
      limit 1
    ), 0);
    v_end := least(v_full, v_next + p_limit);

    if v_next < v_end then
      select array_agg(r.number), array_agg(r.hashes), coalesce(sum(r.length), 0)
      into v_numbers, v_hashes, v_found
      from (
        select
          t.number / 256 as number, count(*) as length,
          string_agg(tile_root(t.hashes), '' order by t.number) as hashes
        from tiles t
        where t.shard = p_shard and t.level = v_level and t.number >= v_next and t.number < v_end
        group by t.number / 256
      ) r;
      if v_found <> v_end - v_next then
        raise exception 'tiles %/% have a gap behind %', p_shard, v_level, v_next - 1
          using errcode = 'data_corrupted';
      end if;

      insert into tiles as t (shard, level, number, hashes)
      select s.shard, v_level + 1, r.number, r.hashes
      from shards s
        cross join unnest(v_numbers, v_hashes) as r(number, hashes)
      where s.shard = p_shard
      on conflict (shard, level, number) do update set hashes = t.hashes || excluded.hashes
      where t.number = v_next / 256 and octet_length(t.hashes) = v_next % 256 * 32;
      get diagnostics v_written = row_count;
      if v_written <> cardinality(v_numbers) then
        raise exception 'tiles %/% have grown behind %', p_shard, v_level + 1, v_next - 1
          using errcode = 'serialization_failure';
      end if;
    end if;

    v_level := v_level + 1;
    v_full := greatest(v_next, v_end) / 256;
  end loop;
end
$$;
