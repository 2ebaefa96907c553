-- Appends one CatalogChanged to shard 0 and makes it the catalog of every shard.
--
-- Returns the catalog's previous position and the event's position. The latter is null, and nothing
-- was appended, if the catalog has moved on from p_catalog_position, or the change there isn't the
-- one with p_catalog_sha256.
--
-- TB002: this server's clock differs from p_clock, the caller's, by more than p_clock_tolerance.
--
-- Locks: shard 0's row first, so that two changes never deadlock, then every shard's. On Citus,
-- while shard 0 moves, its row may be locked in the old location and the insert made in the new
-- one. As in append_batch, the insert checks the catalog again, and fails with 23505 if another
-- append has taken the position.
create or replace function append_catalog_change(
  p_catalog_position bigint,
  p_version smallint,
  p_source text,
  p_payload text,
  p_payload_sha256 text,
  -- During an upgrade, instances of an older release don't pass these.
  p_catalog_sha256 text default null,
  p_clock timestamptz default null,
  p_clock_tolerance interval default null
) returns table (catalog_position bigint, "position" bigint)
language plpgsql
set search_path from current as $$
declare
  v_catalog_position bigint;
  v_catalog_sha256 bytea;
  v_not_before timestamptz;
  v_position bigint;
  v_recorded_at timestamptz;
begin
  perform check_clock(p_clock, p_clock_tolerance);

  select s.catalog_position, s.catalog_sha256, s.not_before
  into strict v_catalog_position, v_catalog_sha256, v_not_before
  from shards s
  where s.shard = 0
  for update;

  if v_catalog_position <> p_catalog_position
    or v_catalog_sha256 <> decode(p_catalog_sha256, 'hex') then
    return query select v_catalog_position, null::bigint;
    return;
  end if;

  select e.position, e.recorded_at into v_position, v_recorded_at
  from events e
  where e.shard = 0
  order by e.position desc
  limit 1;

  v_position := coalesce(v_position, -1) + 1;
  v_recorded_at := greatest(clock_timestamp(), v_recorded_at, v_not_before);

  insert into events (
    shard, position, type, version, recorded_at, source, payload, payload_sha256
  )
  select
    s.shard, v_position, 'CatalogChanged', p_version, v_recorded_at, p_source,
    p_payload::json, decode(p_payload_sha256, 'hex')
  from shards s
  where s.shard = 0
    and s.catalog_position = v_catalog_position
    and s.catalog_sha256 is not distinct from v_catalog_sha256;
  if not found then
    return query select v_catalog_position, null::bigint;
    return;
  end if;

  update shards s
  set catalog_position = v_position, catalog_sha256 = decode(p_payload_sha256, 'hex');

  return query select v_catalog_position, v_position;
end
$$;
