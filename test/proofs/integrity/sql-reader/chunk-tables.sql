-- The sums of the events of one chunk. Each commit empties the tables in place; a truncate would
-- leave dead rows in the system catalogs.
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

-- What acts add to accounts. The quarter hour is '-infinity' if usage counts it in none.
create temporary table chunk_acts (
  kind text,
  account text,
  quarter timestamptz,
  requests numeric,
  seconds numeric,
  quota_used numeric,
  last_accessed_at bigint
) on commit delete rows;

-- Entries for unknown keys, less what acts took of them.
create temporary table chunk_unknown (
  kind text,
  name text,
  quarter timestamptz,
  requests numeric,
  seconds numeric,
  last_accessed_at bigint,
  flushes bigint
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
  name text,
  external_id text
) on commit delete rows;

-- Events that are read value by value. They are copied because the functions of this session don't
-- exist on other nodes of a Citus cluster.
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
