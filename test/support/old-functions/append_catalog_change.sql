-- Appends one CatalogChanged to shard 0 and makes it the catalog of every shard.
--
-- Gives the catalog's position before, and the event's own; the latter is null, and nothing was
-- appended, where the catalog has moved on from p_catalog_position.
--
-- Locks: shard 0's row first, so that two changes never wait for each other, then every shard's.
create or replace function append_catalog_change(
  p_catalog_position bigint,
  p_version smallint,
  p_source text,
  p_payload text,
  p_payload_sha256 text
) returns table (catalog_position bigint, "position" bigint)
language plpgsql
set search_path from current as $$
declare
  v_catalog_position bigint;
  v_position bigint;
  v_recorded_at timestamptz;
begin
  select s.catalog_position into strict v_catalog_position
  from shards s
  where s.shard = 0
  for update;

  if v_catalog_position <> p_catalog_position then
    return query select v_catalog_position, null::bigint;
    return;
  end if;

  select e.position, e.recorded_at into v_position, v_recorded_at
  from events e
  where e.shard = 0
  order by e.position desc
  limit 1;

  v_position := coalesce(v_position, -1) + 1;
  v_recorded_at := greatest(clock_timestamp(), v_recorded_at);

  insert into events (
    shard, position, type, version, recorded_at, source, payload, payload_sha256
  ) values (
    0, v_position, 'CatalogChanged', p_version, v_recorded_at, p_source,
    p_payload::json, decode(p_payload_sha256, 'hex')
  );

  update shards s set catalog_position = v_position;

  return query select v_catalog_position, v_position;
end
$$;
