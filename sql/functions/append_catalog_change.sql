-- Appends one CatalogChanged to shard 0, as append_batch does with a batch of one, and makes it the
-- catalog of every shard.
--
-- Returns the catalog's previous position and the event's position. The latter is null, and nothing
-- was appended, if the catalog has moved on from p_catalog_position, or the change there isn't the
-- one with p_catalog_sha256.
--
-- Locks: shard 0's row first, so that two changes never deadlock, then every shard's.
--
-- TB002, 23505: as in append_batch.
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
  v_position bigint;
begin
  select a.first_position into strict v_position
  from append_batch(
    0, p_catalog_position, 'CatalogChanged', p_version::text, p_source, '', p_payload,
    p_payload_sha256, p_catalog_sha256, p_clock, p_clock_tolerance
  ) a;

  select s.catalog_position into strict v_catalog_position
  from shards s
  where s.shard = 0;

  if v_position is not null then
    update shards s
    set catalog_position = v_position, catalog_sha256 = decode(p_payload_sha256, 'hex');
  end if;

  return query select v_catalog_position, v_position;
end
$$;
