-- What flushes posted for keys that the catalog did not have; it counts once they are adopted. The
-- projection of bookkeeping has these tables since its version 2, and is rebuilt from the log.

-- The names, by shard, numbered in order of appearance. Of each kind the first 100,000 are kept
-- apart; the others are one row with an empty name and the last number that was given. (No index
-- by number: while there are no statistics, look-ups of a name would take that one.)
create table unknown_keys (
  shard integer not null,
  generation integer not null,
  kind text not null,
  name text not null,
  number bigint not null,
  requests numeric not null,
  flushes bigint not null,
  first_seen timestamptz not null,
  last_seen timestamptz not null,
  primary key (shard, generation, kind, name)
);

-- What was posted under names that are kept apart, less what acts took (which is in shard 0).
-- `seconds` are successes of API keys, and tokens of token keys.
create table unknown_usage (
  shard integer not null,
  generation integer not null,
  kind text not null,
  name text not null,
  quarter timestamptz not null,
  requests numeric not null,
  seconds numeric not null,
  last_accessed_at bigint not null,
  flushes bigint not null,
  primary key (generation, kind, name, quarter, shard)
);

-- What acts took of each name: adoptions, which state the group that counted it or whether it used
-- up a quota, and reversals of flushes, which state neither.
create table unknown_taken (
  generation integer not null,
  position bigint not null,
  kind text not null,
  name text not null,
  requests numeric not null,
  flushes bigint not null,
  group_id bigint,
  quota_tracked boolean,
  primary key (generation, position, kind, name)
);

create index unknown_taken_name on unknown_taken (generation, kind, name);
