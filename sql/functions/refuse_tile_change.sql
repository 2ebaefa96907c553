-- Refuses every change of a tile, except that hashes may be appended to a partial tile.
create or replace function refuse_tile_change() returns trigger
language plpgsql as $$
begin
  -- Nested: in a delete or truncate there is no new row.
  if tg_op = 'UPDATE' then
    if (new.shard, new.level, new.number) = (old.shard, old.level, old.number)
      and octet_length(new.hashes) > octet_length(old.hashes)
      and substring(new.hashes for octet_length(old.hashes)) = old.hashes then
      return new;
    end if;
  end if;
  raise exception 'tiles only grow: % refused', lower(tg_op)
    using errcode = 'insufficient_privilege';
end
$$;
