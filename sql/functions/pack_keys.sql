-- Packs the idempotency keys of a segment, after those that are packed already, through position
-- p_through. Returns the position through which they are packed then. Only the owner may call it,
-- for a segment that is full: append_batch looks its keys up in packed_keys from then on.
--
-- Lock: the segment's row, until commit. Killed before the commit: nothing was packed.
create or replace function pack_keys(
  p_shard integer,
  p_first bigint,
  p_through bigint
) returns bigint
language plpgsql
set search_path from current as $$
declare
  -- In bytes: a row that would get larger is divided into rows of some 48 entries.
  v_largest integer := 72 * 14;
  v_after bigint;
begin
  select g.packed_through into strict v_after
  from segments g
  where g.shard = p_shard and g.first_position = p_first
  for update;

  if v_after >= p_through then
    return v_after;
  end if;

  insert into packed_keys (shard, first, entries)
  values (p_shard, '\x0000000000000000', '')
  on conflict (shard, first) do nothing;

  with added as (
    select r.first, string_agg(n.hash || substring(int8send(n.position) from 3), '') as entries
    from (
        select e.position, key_hash(e.source, e.idempotency_key) as hash
        from events e
        where e.shard = p_shard and e.position > v_after and e.position <= p_through
          and e.idempotency_key is not null
      ) n
      cross join lateral (
        select k.first
        from packed_keys k
        where k.shard = p_shard and k.first <= n.hash
        order by k.first desc
        limit 1
      ) r
    group by r.first
  ), changed as (
    select k.first, k.entries || a.entries as entries
    from added a
      join packed_keys k on k.shard = p_shard and k.first = a.first
  ), divided as (
    -- Entries with one hash have one rank, so they stay in one row.
    select d.first as old_first, d.part, string_agg(d.entry, '' order by d.hash) as entries
    from (
      select
        c.first, u.hash, u.hash || substring(int8send(u.position) from 3) as entry,
        (dense_rank() over (partition by c.first order by u.hash) - 1) / 48 as part
      from changed c
        cross join lateral unpack_keys(c.entries) u
      where octet_length(c.entries) > v_largest
    ) d
    group by d.first, d.part
  ), new as (
    insert into packed_keys (shard, first, entries)
    select p_shard, substring(d.entries for 8), d.entries
    from divided d
    where d.part > 0
  )
  update packed_keys k
  set entries = c.entries
  from (
    select c.first, c.entries from changed c where octet_length(c.entries) <= v_largest
    union all
    select d.old_first, d.entries from divided d where d.part = 0
  ) c
  where k.shard = p_shard and k.first = c.first;

  update segments g
  set packed_through = p_through
  where g.shard = p_shard and g.first_position = p_first;

  return p_through;
end
$$;
