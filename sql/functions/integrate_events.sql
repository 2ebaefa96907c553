-- Adds the leaf hashes of up to p_limit events behind the last leaf of a shard to its tiles; gives
-- how many leaves were added. An event before the last leaf is never looked at again.
--
-- Lock: the last tile, until commit, so of several instances each leaf is added by one. Killed
-- before the commit: nothing was added, and the next call adds it.
create or replace function integrate_events(p_shard integer, p_limit integer) returns integer
language plpgsql
set search_path from current as $$
declare
  v_number bigint;
  v_length integer;
  v_next bigint;
  v_first bigint;
  v_last bigint;
  v_added integer;
  v_numbers bigint[];
  v_hashes bytea[];
begin
  select coalesce(max(t.number), 0) into v_number
  from tiles t
  where t.shard = p_shard and t.level = 0;

  -- While the lock was waited for, the tile may have been filled and another begun.
  loop
    select octet_length(t.hashes) into v_length
    from tiles t
    where t.shard = p_shard and t.level = 0 and t.number = v_number
    for update;
    exit when v_length < 8192;
    if v_length = 8192 then
      v_number := v_number + 1;
    end if;
    insert into tiles (shard, level, number, hashes)
    values (p_shard, 0, v_number, '')
    on conflict (shard, level, number) do nothing;
  end loop;

  v_next := v_number * 256 + v_length / 32;

  -- One statement reads them, so what is appended meanwhile is left for the next call.
  select
    array_agg(h.number), array_agg(h.hashes), coalesce(sum(h.length), 0), min(h.first), max(h.last)
  into v_numbers, v_hashes, v_added, v_first, v_last
  from (
    select
      e.position / 256 as number, count(*) as length,
      min(e.position) as first, max(e.position) as last,
      string_agg(
        leaf_hash(
          e.shard, e.position, e.type, e.version, e.recorded_at, e.source, e.idempotency_key,
          e.payload_sha256
        ),
        '' order by e.position
      ) as hashes
    from events e
    where e.shard = p_shard and e.position >= v_next and e.position < v_next + p_limit
    group by e.position / 256
  ) h;

  if v_added = 0 then
    return 0;
  end if;
  if v_first <> v_next or v_last <> v_next + v_added - 1 then
    raise exception 'positions of shard % have a gap behind %', p_shard, v_next - 1
      using errcode = 'data_corrupted';
  end if;

  insert into tiles as t (shard, level, number, hashes)
  select p_shard, 0, h.number, h.hashes
  from unnest(v_numbers, v_hashes) as h(number, hashes)
  on conflict (shard, level, number) do update set hashes = t.hashes || excluded.hashes;
  return v_added;
end
$$;
