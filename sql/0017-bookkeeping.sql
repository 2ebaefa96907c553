-- Entries that administrators make in the books: opening balances, adjustments and reversals.

-- The position of the newest one. The next must have been decided with it in mind.
alter table shards add column act_position bigint not null default -1;

-- What counts at another time than it was recorded, by the position at which it was recorded;
-- quarter is -infinity if it counts in no quarter hour. Generations share these tables.
create table api_key_backdated_usage (
  shard integer not null,
  generation integer not null,
  api_key_id bigint not null,
  quarter timestamptz not null,
  position bigint not null,
  requests numeric not null,
  successes numeric not null,
  primary key (generation, api_key_id, quarter, shard, position)
);

create table provider_group_backdated_usage (
  shard integer not null,
  generation integer not null,
  provider_group_id bigint not null,
  quarter timestamptz not null,
  position bigint not null,
  requests numeric not null,
  successes numeric not null,
  primary key (generation, provider_group_id, quarter, shard, position)
);

create table key_backdated_usage (
  shard integer not null,
  generation integer not null,
  token_hash text not null,
  quarter timestamptz not null,
  position bigint not null,
  requests numeric not null,
  tokens numeric not null,
  quota_used numeric not null,
  primary key (generation, token_hash, quarter, shard, position)
);

create index api_key_backdated_usage_position
  on api_key_backdated_usage (shard, generation, position);
create index provider_group_backdated_usage_position
  on provider_group_backdated_usage (shard, generation, position);
create index key_backdated_usage_position
  on key_backdated_usage (shard, generation, position);

-- Of usage: true once anything in the shard is backdated. Until then reads need not look for it.
alter table checkpoints add column has_backdated boolean not null default false;

-- Every entry. A reversal names the event that it takes back.
create table acts (
  generation integer not null,
  position bigint not null,
  type text not null,
  reason text,
  reversed_shard integer,
  reversed_position bigint,
  primary key (generation, position)
);

create index acts_reversed on acts (generation, reversed_shard, reversed_position);

-- The accounts that opening balances name, by the position at which they were recorded.
create table openings (
  generation integer not null,
  kind text not null,
  account text not null,
  position bigint not null,
  primary key (generation, kind, account, position)
);

-- No event before this migration is an entry, so the projection of entries has folded them all.
insert into projections (projection, generation, version)
select 'bookkeeping', 1, 1
from projections p
where p.projection = 'catalog'
on conflict (projection) do nothing;

insert into checkpoints (shard, projection, generation, position)
select c.shard, 'bookkeeping', 1, c.position
from checkpoints c
  join projections p on p.projection = c.projection and p.generation = c.generation
where p.projection = 'catalog'
on conflict (shard, projection, generation) do nothing;
