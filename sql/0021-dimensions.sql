-- The dimensions and measures that flushes may use, folded from the CatalogChanged events of shard
-- 0 like the rest of the catalog. No event before this migration has one, so the catalog that was
-- folded from them is complete.
create table dimensions (
  generation integer not null,
  name text not null,
  ended_at timestamptz,
  primary key (generation, name)
);

create table dimension_versions (
  generation integer not null,
  name text not null,
  position bigint not null,
  ended_at timestamptz,
  primary key (generation, name, position)
);

-- `number` is the place of a measure among all that were ever declared.
create table measures (
  generation integer not null,
  name text not null,
  number integer not null,
  ended_at timestamptz,
  unit text,
  primary key (generation, name)
);

create table measure_versions (
  generation integer not null,
  name text not null,
  position bigint not null,
  number integer not null,
  ended_at timestamptz,
  unit text,
  primary key (generation, name, position)
);
