-- What flushes with dimensions and measures count. Other flushes have no rows here. Generations
-- share these tables. The n-th element of `measures` is the measure whose number is n - 1; arrays
-- end with the last measure that was counted.

-- The measures of each account in total.
create table api_key_measures (
  shard integer not null,
  generation integer not null,
  api_key_id bigint not null,
  measures numeric[] not null,
  primary key (generation, api_key_id, shard)
) with (fillfactor = 50);

create table provider_group_measures (
  shard integer not null,
  generation integer not null,
  provider_group_id bigint not null,
  measures numeric[] not null,
  primary key (generation, provider_group_id, shard)
) with (fillfactor = 50);

create table key_measures (
  shard integer not null,
  generation integer not null,
  token_hash text not null,
  measures numeric[] not null,
  primary key (generation, token_hash, shard)
) with (fillfactor = 50);

-- Usage by combination of dimension values: JSON with sorted names, `{}` for none. Provider group 0
-- is all groups together.
create table api_key_parts (
  shard integer not null,
  generation integer not null,
  api_key_id bigint not null,
  quarter timestamptz not null,
  combination text not null,
  requests numeric not null,
  successes numeric not null,
  measures numeric[] not null,
  primary key (generation, api_key_id, quarter, shard, combination)
) with (fillfactor = 90);

create table provider_group_parts (
  shard integer not null,
  generation integer not null,
  provider_group_id bigint not null,
  quarter timestamptz not null,
  combination text not null,
  requests numeric not null,
  successes numeric not null,
  measures numeric[] not null,
  primary key (generation, provider_group_id, quarter, shard, combination)
) with (fillfactor = 90);

create table key_parts (
  shard integer not null,
  generation integer not null,
  token_hash text not null,
  quarter timestamptz not null,
  combination text not null,
  requests numeric not null,
  tokens numeric not null,
  quota_used numeric not null,
  measures numeric[] not null,
  primary key (generation, token_hash, quarter, shard, combination)
) with (fillfactor = 90);

-- The same of what counts at another time than it was recorded, by the position at which it was.
create table api_key_backdated_parts (
  shard integer not null,
  generation integer not null,
  api_key_id bigint not null,
  quarter timestamptz not null,
  position bigint not null,
  combination text not null,
  requests numeric not null,
  successes numeric not null,
  measures numeric[] not null,
  primary key (generation, api_key_id, quarter, shard, position, combination)
);

create table provider_group_backdated_parts (
  shard integer not null,
  generation integer not null,
  provider_group_id bigint not null,
  quarter timestamptz not null,
  position bigint not null,
  combination text not null,
  requests numeric not null,
  successes numeric not null,
  measures numeric[] not null,
  primary key (generation, provider_group_id, quarter, shard, position, combination)
);

create table key_backdated_parts (
  shard integer not null,
  generation integer not null,
  token_hash text not null,
  quarter timestamptz not null,
  position bigint not null,
  combination text not null,
  requests numeric not null,
  tokens numeric not null,
  quota_used numeric not null,
  measures numeric[] not null,
  primary key (generation, token_hash, quarter, shard, position, combination)
);

-- The measures of all accounts as they stood after the event at `position`, many to a row (a page)
-- of one measure, accounts in ascending order.
create table api_key_measure_snapshots (
  shard integer not null,
  generation integer not null,
  position bigint not null,
  number integer not null,
  first_id bigint not null,
  last_id bigint not null,
  ids bigint[] not null,
  totals numeric[] not null,
  primary key (generation, shard, position, number, first_id)
);

create table provider_group_measure_snapshots (
  shard integer not null,
  generation integer not null,
  position bigint not null,
  number integer not null,
  first_id bigint not null,
  last_id bigint not null,
  ids bigint[] not null,
  totals numeric[] not null,
  primary key (generation, shard, position, number, first_id)
);

create table key_measure_snapshots (
  shard integer not null,
  generation integer not null,
  position bigint not null,
  number integer not null,
  first_hash text not null,
  last_hash text not null,
  token_hashes text[] not null,
  totals numeric[] not null,
  primary key (generation, shard, position, number, first_hash)
);
