-- Adds the leaf hashes of up to p_limit events after the last leaf of a shard to its tiles, and the
-- resulting roots to the levels above. Returns how many leaves were added. Events up to the last
-- leaf are never read again.
--
-- Lock: the last tile of level 0, until commit, so that if several instances call it, only one adds
-- each hash, on every level. Killed before the commit: nothing was added; the next call adds it.
--
-- 40001: on Citus, while the shard moves, the tile may be locked in the old location while another
-- call has added to it in the new one. Nothing was added; the next call adds it.
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
  v_written integer;
begin
  v_number := (select max(t.number) from tiles t where t.shard = p_shard and t.level = 0);
  if v_number is null then
    if not exists (select from events e where e.shard = p_shard) then
      return 0;
    end if;
    insert into tiles (shard, level, number, hashes)
    values (p_shard, 0, 0, '')
    on conflict (shard, level, number) do nothing;
    v_number := 0;
  end if;

  loop
    select octet_length(t.hashes) into strict v_length
    from tiles t
    where t.shard = p_shard and t.level = 0 and t.number = v_number
    for update;
    -- While the lock was waited for, the tile may have been filled and others begun behind it.
    v_last := (select max(t.number) from tiles t where t.shard = p_shard and t.level = 0);
    exit when v_last = v_number;
    v_number := v_last;
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

  if v_first <> v_next or v_last <> v_next + v_added - 1 then
    raise exception 'positions of shard % have a gap behind %', p_shard, v_next - 1
      using errcode = 'data_corrupted';
  end if;

  if v_added > 0 then
    insert into tiles as t (shard, level, number, hashes)
    select s.shard, 0, h.number, h.hashes
    from shards s
      cross join unnest(v_numbers, v_hashes) as h(number, hashes)
    where s.shard = p_shard
    on conflict (shard, level, number) do update set hashes = t.hashes || excluded.hashes
    where t.number = v_number and octet_length(t.hashes) = v_length;
    get diagnostics v_written = row_count;
    if v_written <> cardinality(v_numbers) then
      raise exception 'tiles of shard % have grown behind %', p_shard, v_next - 1
        using errcode = 'serialization_failure';
    end if;
  end if;

  -- p_limit events fill p_limit / 256 + 1 tiles at most. The rest is for catching up: a root takes
  -- as long as some 80 leaves, so such a step takes two to three times as long as another.
  perform integrate_roots(p_shard, p_limit / 32 + 1);
  return v_added;
end
$$;
