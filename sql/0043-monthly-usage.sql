-- Usage that is older than the service keeps by days, added up by months of UTC (src/rollups).
-- `quarter` is the start of the month. `position` is -1 for what was counted when it was recorded;
-- for backdated usage it is the end of the last block of positions that was recorded in the same
-- month. Generations share these tables.
create table api_key_monthly_usage (
  shard integer not null,
  generation integer not null,
  api_key_id bigint not null,
  quarter timestamptz not null,
  position bigint not null,
  requests numeric not null,
  successes numeric not null,
  primary key (generation, api_key_id, quarter, shard, position)
);

create table provider_group_monthly_usage (
  shard integer not null,
  generation integer not null,
  provider_group_id bigint not null,
  quarter timestamptz not null,
  position bigint not null,
  requests numeric not null,
  successes numeric not null,
  primary key (generation, provider_group_id, quarter, shard, position)
);

create table key_monthly_usage (
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
create table api_key_monthly_parts (
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

create unique index api_key_monthly_parts_key on api_key_monthly_parts (
  generation, api_key_id, quarter, shard, position,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);

create table provider_group_monthly_parts (
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

create unique index provider_group_monthly_parts_key on provider_group_monthly_parts (
  generation, provider_group_id, quarter, shard, position,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);

create table key_monthly_parts (
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

create unique index key_monthly_parts_key on key_monthly_parts (
  generation, token_hash, quarter, shard, position,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);

-- Verification reads them month by month.
create index api_key_monthly_usage_quarter
  on api_key_monthly_usage using brin (quarter);
create index provider_group_monthly_usage_quarter
  on provider_group_monthly_usage using brin (quarter);
create index key_monthly_usage_quarter
  on key_monthly_usage using brin (quarter);
create index api_key_monthly_parts_quarter
  on api_key_monthly_parts using brin (quarter);
create index provider_group_monthly_parts_quarter
  on provider_group_monthly_parts using brin (quarter);
create index key_monthly_parts_quarter
  on key_monthly_parts using brin (quarter);

-- Of usage: what began before `monthly_before` is kept by months, backdated usage if it is at
-- `monthly_through` or before. Everything before `monthly_moved` was moved already. They never
-- exceed those by days.
alter table checkpoints add column monthly_before timestamptz not null default '-infinity';
alter table checkpoints add column monthly_through bigint not null default -1;
alter table checkpoints add column monthly_moved timestamptz not null default '-infinity';

-- Of bookkeeping, in shard 0: keys that some shard saw as unknown before `unknown_before` are
-- adopted from the log. Their rows of unknown_usage and unknown_parts that count before are not
-- needed, and were deleted up to `unknown_deleted`.
alter table checkpoints add column unknown_before timestamptz not null default '-infinity';
alter table checkpoints add column unknown_deleted timestamptz not null default '-infinity';
