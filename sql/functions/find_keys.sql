-- Returns where idempotency keys are in the log of a shard: the ordinal of each that is (from 1),
-- and the position of its event. p_sources and p_idempotency_keys hold one line per key, joined by
-- newlines; an empty key is in no log.
--
-- is_confirmed is false if only the hash of the key was found, and its event has left the database.
-- Then the caller reads the event where it is, and compares. p_differing has, in one line per key,
-- the positions, joined by blanks, of events that are known to have other keys. p_through is the
-- last position of the shard, if the caller knows it: then empty segments are left out.
create or replace function find_keys(
  p_shard integer,
  p_sources text,
  p_idempotency_keys text,
  p_differing text default '',
  p_through bigint default null
) returns table (ordinal integer, "position" bigint, is_confirmed boolean)
language plpgsql stable
set search_path from current as $$
declare
  -- The first segment whose keys are in its index. All others are packed.
  v_first_position bigint := (
    select min(g.first_position)
    from segments g
    where g.shard = p_shard and g.packed_through < g.end_position - 1
  );
  v_ordinals bigint[];
  v_positions bigint[];
begin
  -- With offset 0, each key is looked up by itself: as a join, PostgreSQL could read all of the
  -- log.
  return query
    select f.ordinal::integer, e.position, true
    from rows from (
        string_to_table(p_sources, e'\n'),
        string_to_table(p_idempotency_keys, e'\n')
      ) with ordinality as f(source, idempotency_key, ordinal)
      cross join lateral (
        select e.position
        from events e
        where e.shard = p_shard and e.position >= coalesce(v_first_position, 0)
          and e.position <= coalesce(p_through, 9223372036854775807)
          and e.source = f.source and e.idempotency_key = f.idempotency_key
        offset 0
      ) e
    where f.idempotency_key <> '';

  select array_agg(f.ordinal), array_agg(u.position)
  into v_ordinals, v_positions
  from rows from (
      string_to_table(p_sources, e'\n'),
      string_to_table(p_idempotency_keys, e'\n')
    ) with ordinality as f(source, idempotency_key, ordinal)
    cross join lateral key_hash(f.source, f.idempotency_key) as h(hash)
    cross join lateral (
      select k.entries
      from packed_keys k
      where k.shard = p_shard and k.first <= h.hash
      order by k.first desc
      limit 1
    ) k
    cross join lateral unpack_keys(k.entries) u
  where f.idempotency_key <> ''
    -- Rows without it are not unpacked. It may be found between two entries.
    and position(h.hash in k.entries) > 0
    and u.hash = h.hash
    and (v_first_position is null or u.position < v_first_position);

  if v_ordinals is null then
    return;
  end if;

  return query
    select p.ordinal::integer, p.position, e.position is not null
    from unnest(v_ordinals, v_positions) as p(ordinal, position)
      join rows from (
        string_to_table(p_sources, e'\n'),
        string_to_table(p_idempotency_keys, e'\n'),
        string_to_table(p_differing, e'\n')
      ) with ordinality as f(source, idempotency_key, differing, ordinal) using (ordinal)
      left join lateral (
        select e.position, e.source, e.idempotency_key
        from events e
        where e.shard = p_shard and e.position = p.position
        offset 0
      ) e on true
    where case
      when e.position is null
        then p.position::text <> all (string_to_array(coalesce(f.differing, ''), ' '))
      else e.source = f.source and e.idempotency_key = f.idempotency_key
    end;
end
$$;
