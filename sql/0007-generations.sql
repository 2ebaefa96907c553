-- Each generation of a projection's rows in a partition of its own, so that dropping one is done at
-- once and leaves nothing to clean; usage over time, snapshots for reads of the past, and the
-- versions of the catalog's rows.

-- What was there so far is generation 1.
alter table api_key_counters rename to api_key_counters_1;
alter table api_key_counters_1 rename constraint api_key_counters_pkey to api_key_counters_1_pkey;
create table api_key_counters (
  shard integer not null,
  generation integer not null,
  api_key_id bigint not null,
  requests numeric not null,
  successes numeric not null,
  primary key (shard, generation, api_key_id)
) partition by list (generation);
alter table api_key_counters attach partition api_key_counters_1 for values in (1);

alter table provider_group_counters rename to provider_group_counters_1;
alter table provider_group_counters_1
  rename constraint provider_group_counters_pkey to provider_group_counters_1_pkey;
create table provider_group_counters (
  shard integer not null,
  generation integer not null,
  provider_group_id bigint not null,
  requests numeric not null,
  successes numeric not null,
  primary key (shard, generation, provider_group_id)
) partition by list (generation);
alter table provider_group_counters attach partition provider_group_counters_1 for values in (1);

alter table key_counters rename to key_counters_1;
alter table key_counters_1 rename constraint key_counters_pkey to key_counters_1_pkey;
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
) partition by list (generation);
alter table key_counters attach partition key_counters_1 for values in (1);

-- What each quarter of an hour counted, by its start: every time zone's hours and days are made of
-- quarters.
create table api_key_usage (
  shard integer not null,
  generation integer not null,
  api_key_id bigint not null,
  quarter timestamptz not null,
  requests numeric not null,
  successes numeric not null,
  primary key (shard, generation, api_key_id, quarter)
) partition by list (generation);

create table provider_group_usage (
  shard integer not null,
  generation integer not null,
  provider_group_id bigint not null,
  quarter timestamptz not null,
  requests numeric not null,
  successes numeric not null,
  primary key (shard, generation, provider_group_id, quarter)
) partition by list (generation);

create table key_usage (
  shard integer not null,
  generation integer not null,
  token_hash text not null,
  quarter timestamptz not null,
  requests numeric not null,
  tokens numeric not null,
  quota_used numeric not null,
  primary key (shard, generation, token_hash, quarter)
) partition by list (generation);

-- All counters of a shard as they stood after the event at `position`, many to a row (a page):
-- ids ascending, `first_id` to `last_id`. The first page of each (id 0, or '') is empty.
create table api_key_snapshots (
  shard integer not null,
  generation integer not null,
  position bigint not null,
  first_id bigint not null,
  last_id bigint not null,
  ids bigint[] not null,
  requests numeric[] not null,
  successes numeric[] not null,
  primary key (shard, generation, position, first_id)
) partition by list (generation);

create table provider_group_snapshots (
  shard integer not null,
  generation integer not null,
  position bigint not null,
  first_id bigint not null,
  last_id bigint not null,
  ids bigint[] not null,
  requests numeric[] not null,
  successes numeric[] not null,
  primary key (shard, generation, position, first_id)
) partition by list (generation);

create table key_snapshots (
  shard integer not null,
  generation integer not null,
  position bigint not null,
  first_hash text not null,
  last_hash text not null,
  token_hashes text[] not null,
  requests numeric[] not null,
  tokens numeric[] not null,
  quota_used numeric[] not null,
  last_accessed_at bigint[] not null,
  primary key (shard, generation, position, first_hash)
) partition by list (generation);

select create_generation(t.name, 1, t.fillfactor)
from (values
  ('api_key_usage', 90), ('provider_group_usage', 90), ('key_usage', 90),
  ('api_key_snapshots', 100), ('provider_group_snapshots', 100), ('key_snapshots', 100)
) as t(name, fillfactor);

-- Every version of a catalog row, by the position (of shard 0) of the change that made it.
create table provider_group_versions (
  generation integer not null,
  id bigint not null,
  position bigint not null,
  name text,
  ended_at timestamptz,
  primary key (generation, id, position)
);

create table api_key_versions (
  generation integer not null,
  id bigint not null,
  position bigint not null,
  group_id bigint not null,
  name text,
  ended_at timestamptz,
  primary key (generation, id, position)
);

create table key_versions (
  generation integer not null,
  token_hash text not null,
  position bigint not null,
  quota_limit bigint not null,
  name text,
  ended_at timestamptz,
  primary key (generation, token_hash, position)
);

-- The version of the code that folds the live generation: another one is rebuilt.
alter table projections add column version integer not null default 1;
alter table projections alter column version drop default;

-- Nothing reads when they moved. Older versions can't move a checkpoint any more: what they fold
-- has no versions of catalog rows.
drop function if exists move_checkpoint(integer, text, integer, bigint, bigint, timestamptz);
alter table checkpoints drop column moved_at;
alter table parked_events drop column parked_at;

-- Rebuilds: those under way, and the last ones of each projection.
create table rebuilds (
  projection text not null,
  generation integer not null,
  -- See src/projector/rebuild: waiting, folding, comparing, live, failed.
  state text not null,
  started_at timestamptz not null,
  -- When the process that does it said last that it is alive.
  seen_at timestamptz not null,
  finished_at timestamptz,
  events_folded bigint not null,
  events_total bigint not null,
  -- Rows that differed from the generation that was live; null where they weren't compared.
  drifted_rows bigint,
  -- The first of them.
  drift json,
  error text,
  primary key (projection, generation)
);

-- Rights on the whole are enough.
revoke all on api_key_counters_1, provider_group_counters_1, key_counters_1 from tallybook_service;
grant select, insert, update, delete on
  api_key_counters, provider_group_counters, key_counters,
  api_key_usage, provider_group_usage, key_usage,
  api_key_snapshots, provider_group_snapshots, key_snapshots,
  provider_group_versions, api_key_versions, key_versions,
  rebuilds
  to tallybook_service;
