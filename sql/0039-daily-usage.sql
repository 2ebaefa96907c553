-- Usage that is older than the service keeps by quarter hours, added up by days of UTC
-- (src/rollups). `quarter` is the start of the day. `position` is -1 for what was counted when it
-- was recorded; for backdated usage it is the end of the last block of positions that was recorded
-- on the same day. Generations share these tables.
create table api_key_daily_usage (
  shard integer not null,
  generation integer not null,
  api_key_id bigint not null,
  quarter timestamptz not null,
  position bigint not null,
  requests numeric not null,
  successes numeric not null,
  primary key (generation, api_key_id, quarter, shard, position)
);

create table provider_group_daily_usage (
  shard integer not null,
  generation integer not null,
  provider_group_id bigint not null,
  quarter timestamptz not null,
  position bigint not null,
  requests numeric not null,
  successes numeric not null,
  primary key (generation, provider_group_id, quarter, shard, position)
);

create table key_daily_usage (
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

-- The same by combination of dimension values.
create table api_key_daily_parts (
  shard integer not null,
  generation integer not null,
  api_key_id bigint not null,
  quarter timestamptz not null,
  position bigint not null,
  combination text not null,
  requests numeric not null,
  successes numeric not null,
  measures numeric[] not null
);

create unique index api_key_daily_parts_key on api_key_daily_parts (
  generation, api_key_id, quarter, shard, position,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);

create table provider_group_daily_parts (
  shard integer not null,
  generation integer not null,
  provider_group_id bigint not null,
  quarter timestamptz not null,
  position bigint not null,
  combination text not null,
  requests numeric not null,
  successes numeric not null,
  measures numeric[] not null
);

create unique index provider_group_daily_parts_key on provider_group_daily_parts (
  generation, provider_group_id, quarter, shard, position,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);

create table key_daily_parts (
  shard integer not null,
  generation integer not null,
  token_hash text not null,
  quarter timestamptz not null,
  position bigint not null,
  combination text not null,
  requests numeric not null,
  tokens numeric not null,
  quota_used numeric not null,
  measures numeric[] not null
);

create unique index key_daily_parts_key on key_daily_parts (
  generation, token_hash, quarter, shard, position,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);

-- Verification reads them day by day.
create index api_key_daily_usage_quarter on api_key_daily_usage using brin (quarter);
create index provider_group_daily_usage_quarter on provider_group_daily_usage using brin (quarter);
create index key_daily_usage_quarter on key_daily_usage using brin (quarter);
create index api_key_daily_parts_quarter on api_key_daily_parts using brin (quarter);
create index provider_group_daily_parts_quarter on provider_group_daily_parts using brin (quarter);
create index key_daily_parts_quarter on key_daily_parts using brin (quarter);

-- Of usage: what began before `daily_before` is kept by days, backdated usage if it is at
-- `daily_through` or before. Everything before `daily_moved` was moved already.
alter table checkpoints add column daily_before timestamptz not null default '-infinity';
alter table checkpoints add column daily_through bigint not null default -1;
alter table checkpoints add column daily_moved timestamptz not null default '-infinity';
