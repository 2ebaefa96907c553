-- The values that the dimensions of flushes have had on a day, and the combinations of values that
-- accounts have had, as far as they are counted: beyond a limit they are counted as `other`. They
-- are accepted before a flush is appended, so some of them may be in no event.

-- The days (UTC) of a shard on which something was accepted. The row is the lock under which more
-- is accepted on the day.
create table accepted_days (
  shard integer not null,
  day date not null,
  primary key (shard, day)
);

-- `kind` is dimension, and then `name` is its name and `value` a value; or the kind of an account,
-- and then `name` is the account and `value` the hash of a combination (src/dimensions/hash.ts).
create table accepted_values (
  shard integer not null,
  day date not null,
  kind text not null,
  name text not null,
  value text not null,
  primary key (shard, day, kind, name, value)
);

-- How many rows of accepted_values each dimension and each account has.
create table accepted_counts (
  shard integer not null,
  day date not null,
  kind text not null,
  name text not null,
  accepted integer not null,
  primary key (shard, day, kind, name)
);
