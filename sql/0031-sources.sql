-- Who posts flushes, and which flushes of a sequence are missing. All of it follows from the log:
-- it is folded by src/sources, and may be deleted and folded again.

-- One row: the version of the fold. Who has it locked folds.
create table source_folds (
  version integer primary key
);

insert into source_folds (version) values (1);

-- The last event of a shard that was folded; a shard without a row has none.
create table source_positions (
  shard integer primary key,
  position bigint not null
);

-- A source is the name of a token. `recent` are the times of its newest 21 flushes, the newest
-- first.
create table sources (
  source text primary key,
  api_key_flushes bigint not null,
  api_key_requests numeric not null,
  api_key_successes numeric not null,
  key_flushes bigint not null,
  key_requests numeric not null,
  key_tokens numeric not null,
  recent timestamptz[] not null,
  -- True if the newest flush was the last one before a clean shutdown.
  is_ended boolean not null,
  -- True once epochs were dropped, because there were too many.
  has_dropped boolean not null
);

-- The numbers below `next` have arrived, but for the ranges in `missing`.
create table source_epochs (
  source text not null,
  epoch text not null,
  next bigint not null,
  missing json not null,
  last_flush timestamptz not null,
  is_ended boolean not null,
  primary key (source, epoch)
);
