-- Appends a batch of events to one shard in one round trip: flushes, or one other event (see
-- append_event and append_catalog_change). No other function inserts events.
--
-- Each text parameter holds one line per event, joined by newlines (no value can contain one):
-- type, version, source, idempotency key (empty if none), payload, SHA-256 of the payload in hex.
-- p_catalog_position is that of the catalog by which flushes were attributed, or a change was
-- decided; null for an event that depends on no catalog.
--
-- Returns one row. If its first_position is null, p_catalog_position and p_catalog_sha256 (of the
-- change there) are not the catalog's, and nothing was appended. Otherwise the events have the
-- positions from first_position on, in order, except those whose idempotency key is already in the
-- log: these are listed by ordinal (from 1) with the position of the first attempt, and nothing is
-- appended for them. recorded_at is the time of all appended events, RFC 3339. previous
-- distinguishes the event before them from any other that could have been there: its time and the
-- SHA-256 of its payload.
--
-- p_differing: as in find_keys. TB003: the hash of a key was found, but its event has left the
-- database. Nothing was appended; the detail lists ordinals and positions, such as `3 17,5 99`. The
-- caller reads the events there, leaves out the flushes whose keys they have, and passes the others
-- as p_differing.
--
-- TB002: this server's clock differs from p_clock, the caller's, by more than p_clock_tolerance.
--
-- Lock: the shard's row, until commit. On Citus, while the shard moves, the row may be locked and
-- the log read in the old location, and the insert made in the new one, where others hold the lock.
-- So the insert checks the catalog again in its own location, and 23505 means that another append
-- has taken the position (or key) there. The call then failed as a whole, and the next one finds
-- everything in one location.
create or replace function append_batch(
  p_shard integer,
  p_catalog_position bigint,
  p_types text,
  p_versions text,
  p_sources text,
  p_idempotency_keys text,
  p_payloads text,
  p_payload_sha256s text,
  -- During an upgrade, instances of an older release don't pass these.
  p_catalog_sha256 text default null,
  p_clock timestamptz default null,
  p_clock_tolerance interval default null,
  p_differing text default ''
) returns table (
  first_position bigint,
  recorded_at text,
  replayed_ordinals integer[],
  replayed_positions bigint[],
  previous text
)
language plpgsql
set search_path from current as $$
declare
  -- As the session wants it, whose setting doesn't reach a worker of Citus: there a plan that isn't
  -- made of the values themselves is refused. Assigned, which takes 2 µs; performed it is 8.
  v_plan_cache_mode text := set_config(
    'plan_cache_mode', current_setting('tallybook.plan_cache_mode', true), true
  );
  v_catalog_position bigint;
  v_catalog_sha256 bytea;
  v_not_before timestamptz;
  v_first_position bigint;
  v_is_packed boolean;
  v_unconfirmed text;
  v_last_position bigint;
  v_recorded_at timestamptz;
  v_last_sha256 bytea;
  v_previous text;
  v_replayed_ordinals integer[] := '{}';
  v_replayed_positions bigint[] := '{}';
begin
  -- Called only if it fails: a call takes 8 µs, of the 146 of a lone flush.
  if clock_timestamp() not between p_clock - p_clock_tolerance and p_clock + p_clock_tolerance then
    perform check_clock(p_clock, p_clock_tolerance);
  end if;

  -- The last event is in one of the two newest segments, unless others are created far ahead.
  select s.catalog_position, s.catalog_sha256, s.not_before, (
    select g.first_position
    from segments g
    where g.shard = p_shard
    order by g.first_position desc
    offset 1
    limit 1
  )
  into strict v_catalog_position, v_catalog_sha256, v_not_before, v_first_position
  from shards s
  where s.shard = p_shard
  for update;

  if v_catalog_position <> p_catalog_position
    or v_catalog_sha256 <> decode(p_catalog_sha256, 'hex') then
    return query select null::bigint, null::text, '{}'::integer[], '{}'::bigint[], null::text;
    return;
  end if;

  -- After the lock: sees what the appends before it committed.
  select e.position, e.recorded_at, e.payload_sha256,
    exists (select from packed_keys k where k.shard = p_shard)
  into v_last_position, v_recorded_at, v_last_sha256, v_is_packed
  from events e
  where e.shard = p_shard and e.position >= coalesce(v_first_position, 0)
  order by e.position desc
  limit 1;

  if not found and v_first_position > 0 then
    select e.position, e.recorded_at, e.payload_sha256,
      exists (select from packed_keys k where k.shard = p_shard)
    into v_last_position, v_recorded_at, v_last_sha256, v_is_packed
    from events e
    where e.shard = p_shard and e.position < v_first_position
    order by e.position desc
    limit 1;
  end if;

  if translate(p_idempotency_keys, e'\n', '') = '' then
    null;
  elsif v_is_packed then
    select
      coalesce(array_agg(k.ordinal order by k.ordinal) filter (where k.is_confirmed), '{}'),
      coalesce(array_agg(k.position order by k.ordinal) filter (where k.is_confirmed), '{}'),
      string_agg(k.ordinal || ' ' || k.position, ',') filter (where not k.is_confirmed)
    into v_replayed_ordinals, v_replayed_positions, v_unconfirmed
    from find_keys(p_shard, p_sources, p_idempotency_keys, p_differing, v_last_position) k;

    if v_unconfirmed is not null then
      raise exception 'idempotency keys have to be compared with events of the archive'
        using errcode = 'TB003', detail = v_unconfirmed;
    end if;
  else
    -- With offset 0, each key is looked up by itself: as a join, PostgreSQL could read all of the
    -- log (16 ms instead of 0.3 with three small segments).
    select coalesce(array_agg(f.ordinal::integer order by f.ordinal), '{}'),
           coalesce(array_agg(e.position order by f.ordinal), '{}')
    into v_replayed_ordinals, v_replayed_positions
    from rows from (
        string_to_table(p_sources, e'\n'),
        string_to_table(p_idempotency_keys, e'\n')
      ) with ordinality as f(source, idempotency_key, ordinal)
      cross join lateral (
        select e.position
        from events e
        where e.shard = p_shard and e.position <= v_last_position
          and e.source = f.source
          and e.idempotency_key = f.idempotency_key
        offset 0
      ) e
    where f.idempotency_key <> '';
  end if;

  v_previous := to_char(v_recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00 "')
    || encode(v_last_sha256, 'hex');
  v_last_position := coalesce(v_last_position, -1);
  v_recorded_at := greatest(clock_timestamp(), v_recorded_at, v_not_before);

  -- A lone event needs no lines: this takes 23 µs less than the statement for a batch.
  if position(e'\n' in p_types) = 0 then
    if v_replayed_ordinals = '{}' then
      insert into events (
        shard, position, type, version, recorded_at, source, idempotency_key, payload,
        payload_sha256
      )
      select
        s.shard,
        v_last_position + 1,
        p_types,
        p_versions::smallint,
        v_recorded_at,
        p_sources,
        nullif(p_idempotency_keys, ''),
        p_payloads::json,
        decode(p_payload_sha256s, 'hex')
      from shards s
      where s.shard = p_shard
        and (p_catalog_position is null or s.catalog_position = v_catalog_position);
    end if;
  else
    -- Positions are counted rather than numbered by a window, which would sort the payloads.
    insert into events (
      shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
    )
    select
      s.shard,
      v_last_position + f.ordinal - case when v_replayed_ordinals = '{}' then 0 else (
        select count(*)
        from unnest(v_replayed_ordinals) as replayed(ordinal)
        where replayed.ordinal < f.ordinal
      ) end,
      f.type,
      f.version::smallint,
      v_recorded_at,
      f.source,
      nullif(f.idempotency_key, ''),
      f.payload::json,
      decode(f.payload_sha256, 'hex')
    from shards s
      cross join rows from (
        string_to_table(p_types, e'\n'),
        string_to_table(p_versions, e'\n'),
        string_to_table(p_sources, e'\n'),
        string_to_table(p_idempotency_keys, e'\n'),
        string_to_table(p_payloads, e'\n'),
        string_to_table(p_payload_sha256s, e'\n')
      ) with ordinality
        as f(type, version, source, idempotency_key, payload, payload_sha256, ordinal)
    where s.shard = p_shard
      and (p_catalog_position is null or s.catalog_position = v_catalog_position)
      and f.ordinal <> all (v_replayed_ordinals);
  end if;

  -- Nothing was inserted though something was new: the catalog is another one there.
  if not found
    and cardinality(v_replayed_ordinals) < cardinality(string_to_array(p_types, e'\n')) then
    return query select null::bigint, null::text, '{}'::integer[], '{}'::bigint[], null::text;
    return;
  end if;

  return query
    select
      v_last_position + 1,
      to_char(v_recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
      v_replayed_ordinals,
      v_replayed_positions,
      v_previous;
end
$$;
