-- The log: one row a shard (its append lock), and the events.

-- One row a shard, made once when the database is made: their number is the number of shards. The
-- row is the shard's append lock. It is not rewritten by an append, so it never bloats: the head of
-- the log is the last event itself.
create table shards (
  shard integer primary key check (shard >= 0),
  -- Position on shard 0 of the newest CatalogChanged, -1 before the first; the same in every row.
  -- An append that resolved its flushes with another catalog is turned away.
  catalog_position bigint not null check (catalog_position >= -1)
);

create table events (
  shard integer not null,
  position bigint not null check (position >= 0),
  type text not null,
  version smallint not null,
  -- The database's clock at the append; never runs backwards within a shard.
  recorded_at timestamptz not null,
  -- Name of the token that posted it.
  source text not null,
  idempotency_key text,
  -- json, not jsonb: the text stays as it was written, so its hash can be checked.
  payload json not null,
  payload_sha256 bytea not null check (octet_length(payload_sha256) = 32),
  primary key (shard, position)
);

-- External: no time is spent on compressing. 1.4 times the insert rate for payloads of 5 kB.
alter table events alter column payload set storage external;

create unique index events_idempotency_key on events (shard, source, idempotency_key)
  where idempotency_key is not null;

create index events_catalog_changed on events (shard, position)
  where type = 'CatalogChanged';
