-- What is derived from the log. Every table holds rows of one or more generations, of which readers
-- see the one that `projections` names.

-- One row a projection: the generation that readers see.
create table projections (
  projection text primary key,
  generation integer not null,
  rebuilt_at timestamptz
);

-- How far a projection has folded a shard; -1 before the first event.
create table checkpoints (
  shard integer not null,
  projection text not null,
  generation integer not null,
  position bigint not null check (position >= -1),
  moved_at timestamptz not null,
  primary key (shard, projection, generation)
) with (fillfactor = 50);

-- Events that no projection could fold, and why. Everything after them is folded all the same.
create table parked_events (
  shard integer not null,
  position bigint not null,
  reason text not null,
  parked_at timestamptz not null,
  primary key (shard, position)
);

-- Counters are numeric: they can't wrap, whatever is posted.
create table api_key_counters (
  shard integer not null,
  generation integer not null,
  api_key_id bigint not null,
  requests numeric not null,
  successes numeric not null,
  primary key (shard, generation, api_key_id)
) with (fillfactor = 50);

create table provider_group_counters (
  shard integer not null,
  generation integer not null,
  provider_group_id bigint not null,
  requests numeric not null,
  successes numeric not null,
  primary key (shard, generation, provider_group_id)
) with (fillfactor = 50);

create table key_counters (
  shard integer not null,
  generation integer not null,
  token_hash text not null,
  requests numeric not null,
  tokens numeric not null,
  quota_used numeric not null,
  -- Unix seconds; 0 is never.
  last_accessed_at bigint not null,
  primary key (shard, generation, token_hash)
) with (fillfactor = 50);

-- The catalog, folded from the CatalogChanged events of shard 0. An ended row stays, for its
-- history.
create table provider_groups (
  generation integer not null,
  id bigint not null,
  name text,
  ended_at timestamptz,
  primary key (generation, id)
);

create table api_keys (
  generation integer not null,
  id bigint not null,
  group_id bigint not null,
  name text,
  ended_at timestamptz,
  primary key (generation, id)
);

create index api_keys_group_id on api_keys (generation, group_id, id);

create table keys (
  generation integer not null,
  token_hash text not null,
  quota_limit bigint not null,
  name text,
  ended_at timestamptz,
  primary key (generation, token_hash)
);
