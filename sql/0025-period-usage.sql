-- What token keys with a quota period used since that began, so that a read does not add up their
-- rows of usage. The fold of usage adds to the rows that are there, and the service makes those of
-- periods that have begun. A key without a row in every shard is read from usage.
create table key_period_usage (
  shard integer not null,
  generation integer not null,
  token_hash text not null,
  start timestamptz not null,
  quota_used numeric not null,
  primary key (shard, generation, token_hash)
) with (fillfactor = 50);

-- Of usage: the position through which the shard's rows are complete; null if it has none. Code
-- that does not know them leaves it behind, and they count no longer.
alter table checkpoints add column periods_position bigint;
