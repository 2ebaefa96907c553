-- The services that run on this database, and the tree heads that they hand to each other.

-- A row an instance, which writes `seen_at` anew each second while it runs. Who tends which shard
-- follows from these rows, and nothing that has to be right depends on it.
create table instances (
  id text primary key,
  version text not null,
  -- The newest migration that it knows: code that knows more tends shards before code that knows
  -- less.
  migration integer not null,
  started_at timestamptz not null,
  seen_at timestamptz not null
);

grant select, insert, update, delete on instances to tallybook_service;

-- The tree head of a shard that was signed last, for instances that sign under the same name. Each
-- checks it with its own copy of the key, and against the tree that it knows.
create table tree_heads (
  shard integer not null,
  -- The note's first line, as in the note itself.
  origin text not null,
  size bigint not null check (size >= 0),
  note text not null,
  primary key (shard, origin)
);

grant select, insert, update on tree_heads to tallybook_service;
