-- What the events of one chunk say, added up. Emptied at each commit, in place: a truncate would
-- leave dead rows in the system's catalogs.
create temporary table chunk_api_keys (
  quarter timestamptz,
  group_id bigint,
  api_key_id bigint,
  requests numeric,
  successes numeric,
  is_bad boolean
) on commit delete rows;

create temporary table chunk_keys (
  quarter timestamptz,
  token_hash text,
  requests numeric,
  tokens numeric,
  quota_used numeric,
  last_accessed_at bigint,
  is_bad boolean
) on commit delete rows;

create temporary table chunk_catalog (
  position bigint,
  recorded_at timestamptz,
  is_ended boolean,
  kind text,
  ordinal bigint,
  id bigint,
  token_hash text,
  group_id bigint,
  quota_limit bigint,
  name text
) on commit delete rows;

-- Events that are read a value at a time. Copied, as functions of this session are on no other
-- node of a Citus.
create temporary table chunk_events (
  position bigint,
  type text,
  version smallint,
  recorded_at timestamptz,
  payload json
) on commit delete rows;

create temporary table unreadable (
  shard integer,
  position bigint,
  reason text,
  primary key (shard, position)
);
