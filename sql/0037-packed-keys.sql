-- Idempotency keys are remembered forever in a compact form. Once a segment is full, its keys move
-- here, and the index of the segment is dropped (see src/segments/packing.ts).
--
-- A row has the keys of a shard whose hashes are at least `first` and less than the `first` of the
-- next row: an entry of 14 bytes each, in no order. The hash is the first 8 bytes of the SHA-256 of
-- the source, a newline and the key; 6 bytes are the position. Two keys with one hash are two
-- entries: whoever finds one compares the key with that of the event there.
create table packed_keys (
  shard integer not null,
  first bytea not null check (octet_length(first) = 8),
  entries bytea not null check (octet_length(entries) % 14 = 0),
  primary key (shard, first)
) with (fillfactor = 85);

-- Rows are at most 1 kB, so that a page has room for the next version of one.
alter table packed_keys alter column first set storage plain;
alter table packed_keys alter column entries set storage plain;

-- The position through which the keys of a segment are packed.
alter table segments add column packed_through bigint;
update segments set packed_through = first_position - 1;
alter table segments alter column packed_through set not null;

-- append_batch looks for other keys in the segments of this index.
create index segments_unpacked on segments (shard, first_position)
  where packed_through < end_position - 1;

-- It has another parameter.
drop function if exists append_batch(
  integer, bigint, text, text, text, text, text, text, text, timestamptz, interval
);
