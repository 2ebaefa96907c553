-- What was posted under names that are kept apart with dimensions or measures, by combination of
-- values, less what acts took (which is in shard 0). It is a part of `unknown_usage`. The
-- projection of bookkeeping has this table since its version 4, and is rebuilt from the log.
create table unknown_parts (
  shard integer not null,
  generation integer not null,
  kind text not null,
  name text not null,
  quarter timestamptz not null,
  combination text not null,
  requests numeric not null,
  seconds numeric not null,
  measures numeric[] not null
);

create unique index unknown_parts_key on unknown_parts (
  generation, kind, name, quarter, shard,
  (
    case
      when octet_length(combination) > 512
        then encode(sha256(decode(replace(combination, '\', '\\'), 'escape')), 'hex')
      else combination
    end
  )
);
