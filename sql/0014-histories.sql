-- What tells one history of a log from another, and one clock from another.

-- The SHA-256 of the change at catalog_position; null until the first change after this migration.
-- A database that lost its last commits may have another change there than an instance has folded.
alter table shards add column catalog_sha256 bytea;

-- Nothing is recorded before: a read as of this moment has been answered.
alter table shards add column not_before timestamptz not null default '-infinity';

-- They have more parameters now, with defaults for the instances of older code that still run.
drop function if exists append_batch(integer, bigint, text, text, text, text, text, text);
drop function if exists append_catalog_change(bigint, smallint, text, text, text);
drop function if exists append_event(integer, text, smallint, text, text, text, text);
