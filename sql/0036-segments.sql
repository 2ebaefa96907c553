-- The log in segments: partitions of `events`, each with the positions of one shard from
-- first_position to end_position, exclusive. Appends only write to the newest one with events, so
-- its indexes stay in memory however long the log is.
--
-- A database that has events keeps its table as one more partition, `events_legacy`, with all
-- shards up to a position that is further than any append gets before this migration is done (see
-- src/platform/postgres/bound-log.ts). On Citus the log stays one table, and this one is empty.
create table segments (
  shard integer not null,
  first_position bigint not null check (first_position >= 0),
  end_position bigint not null,
  primary key (shard, first_position),
  check (end_position > first_position)
);

do $$
declare
  v_end bigint := 0;
begin
  if exists (select from pg_extension where extname = 'citus') then
    return;
  end if;

  if exists (select from events) then
    -- Without the constraint, because the log was empty a moment ago, attaching reads the table.
    v_end := coalesce(
      (
        select substring(pg_get_constraintdef(c.oid) from '[0-9]+')::bigint
        from pg_constraint c
        where c.conrelid = 'events'::regclass and c.conname = 'events_before_segments'
      ),
      (select (max(e.position) / 256 + 400) * 256 from events e)
    );
    insert into segments (shard, first_position, end_position)
    select s.shard, 0, v_end from shards s;

    alter table events rename to events_legacy;
    alter index events_pkey rename to events_legacy_pkey;
    alter index events_idempotency_key rename to events_legacy_idempotency_key;
    alter index events_catalog_changed rename to events_legacy_catalog_changed;
    alter index events_projection_attested rename to events_legacy_projection_attested;
    drop trigger events_refuse_change on events_legacy;
    revoke all on events_legacy from tallybook_service;
  else
    -- It reads the table, and is made again after each migration.
    drop view if exists flush_entries;
    drop table events;
  end if;

  create table events (
    shard integer not null,
    position bigint not null,
    type text not null,
    version smallint not null,
    recorded_at timestamptz not null,
    source text not null,
    idempotency_key text,
    payload json not null,
    payload_sha256 bytea not null,
    constraint events_position_check check (position >= 0),
    constraint events_payload_sha256_check check (octet_length(payload_sha256) = 32),
    primary key (shard, position)
  ) partition by range (position);

  alter table events alter column payload set storage external;
  create index events_catalog_changed on events (shard, position) where type = 'CatalogChanged';
  create index events_projection_attested on events (shard, position)
    where type = 'ProjectionAttested';
  create trigger events_refuse_change before update or delete on events
    for each row execute function refuse_change();
  create trigger events_refuse_truncate before truncate on events
    for each statement execute function refuse_change();

  execute format(
    'create table events_segments partition of events for values from (%s) to (maxvalue)
     partition by list (shard)', v_end
  );
  create trigger events_refuse_truncate before truncate on events_segments
    for each statement execute function refuse_change();

  if v_end > 0 then
    execute format(
      'alter table events attach partition events_legacy for values from (minvalue) to (%s)', v_end
    );
    alter table events_legacy drop constraint if exists events_before_segments;
  end if;
end
$$;
