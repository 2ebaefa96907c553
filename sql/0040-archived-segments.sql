-- Segments of which the archive has a verified file (see src/segments/archive). Until left_at the
-- database has their events as well. Readers take them from the file from leaving_at on, which is
-- set a while before the events leave, so that no statement that still looks for them in the
-- database comes too late. Events that are no flushes never leave.
create table archived_segments (
  shard integer not null,
  first_position bigint not null,
  end_position bigint not null,
  -- The name of the file in the archive, its length, and the SHA-256 of its index.
  file_name text not null,
  file_bytes bigint not null,
  index_sha256 bytea not null check (octet_length(index_sha256) = 32),
  -- When the first and the last event were recorded.
  first_recorded_at timestamptz not null,
  last_recorded_at timestamptz not null,
  written_at timestamptz not null,
  leaving_at timestamptz,
  left_at timestamptz,
  -- When it was brought back: it is kept from then on as if it were new.
  restored_at timestamptz,
  primary key (shard, first_position),
  check (end_position > first_position),
  check (leaving_at is not null or left_at is null)
);

-- It has other parameters.
drop function if exists position_at(integer, timestamptz);
