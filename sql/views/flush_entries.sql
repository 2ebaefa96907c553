-- The entries of all flushes, one per row, for use in psql. `group_id` is null for an unknown API
-- key and 0 for one without a group. `quota_tracked` is null for an unknown key. `api_key` is an
-- external id that no API key had; then `api_key_id` is null unless one was posted, too.
-- `counted_at` is when usage counts it: as the flush states, or else when it was recorded.
create or replace view flush_entries as
select
  e.shard, e.position, e.recorded_at, e.source,
  nullif(i.id, 0) as api_key_id,
  (
    select g.group_id::bigint
    from (
      select r.group_id, sum(r.length::bigint) over (order by r.ordinal) as upto
      from rows from (
        json_array_elements_text(e.payload -> 'groups'),
        json_array_elements_text(e.payload -> 'counts')
      ) with ordinality as r(group_id, length, ordinal)
    ) g
    where g.upto >= i.ordinal
    order by g.upto
    limit 1
  ) as group_id,
  null::text as token_hash,
  null::boolean as quota_tracked,
  i.requests,
  i.successes,
  null::numeric as tokens,
  null::bigint as last_accessed_at,
  n.name as api_key,
  coalesce(to_timestamp((e.payload ->> 'counted_at')::double precision), e.recorded_at)
    as counted_at
from events e
  cross join lateral (
    select
      i.id::bigint as id, i.requests::numeric as requests,
      -- Version 1 has a column of successes. Versions 2 and 3 list the failures of entries that had
      -- any.
      coalesce(i.successes::numeric, i.requests::numeric - coalesce(f.failures::numeric, 0))
        as successes,
      i.ordinal
    from rows from (
        json_array_elements_text(e.payload -> 'ids'),
        json_array_elements_text(e.payload -> 'requests'),
        json_array_elements_text(e.payload -> 'successes')
      ) with ordinality as i(id, requests, successes, ordinal)
      left join rows from (
        json_array_elements_text(e.payload -> 'failing'),
        json_array_elements_text(e.payload -> 'failures')
      ) as f(index, failures) on f.index::bigint = i.ordinal - 1
    where e.version < 4
    union all
    select i.id, i.requests, i.requests - i.failures, i.ordinal
    from (
        select coalesce(sum(c.length::bigint), 0) as entries
        from json_array_elements_text(e.payload -> 'counts') as c(length)
      ) l
      cross join unnest(
        unpack_column(e.payload -> 'ids', l.entries::bigint),
        unpack_column(e.payload -> 'requests', l.entries::bigint),
        unpack_column(e.payload -> 'failures', l.entries::bigint)
      ) with ordinality as i(id, requests, failures, ordinal)
    where e.version >= 4
  ) i
  left join lateral rows from (
    json_array_elements_text(e.payload -> 'named'),
    json_array_elements_text(e.payload -> 'names')
  ) as n(index, name) on n.index::bigint = i.ordinal - 1
where e.type = 'ApiKeyStatsFlushed'
union all
select
  e.shard, e.position, e.recorded_at, e.source,
  null, null,
  i.hash,
  i.quota_tracked,
  i.requests,
  null,
  i.tokens,
  i.last_accessed_at,
  null,
  coalesce(to_timestamp((e.payload ->> 'counted_at')::double precision), e.recorded_at)
from events e
  cross join lateral (
    select
      i.hash, i.quota_tracked::boolean as quota_tracked, i.requests::numeric as requests,
      i.tokens::numeric as tokens, i.last_accessed_at::bigint as last_accessed_at
    from rows from (
        json_array_elements_text(e.payload -> 'hashes'),
        json_array_elements_text(e.payload -> 'quota_tracked'),
        json_array_elements_text(e.payload -> 'requests'),
        json_array_elements_text(e.payload -> 'tokens'),
        json_array_elements_text(e.payload -> 'last_accessed_at')
      ) as i(hash, quota_tracked, requests, tokens, last_accessed_at)
    where e.version < 2
    union all
    select
      h.hash, case i.quota_tracked when 0 then null else i.quota_tracked = 2 end, i.requests,
      i.tokens, i.last_accessed_at
    from json_array_elements_text(e.payload -> 'hashes') with ordinality as h(hash, ordinal)
      join unnest(
        unpack_column(e.payload -> 'quota_tracked', json_array_length(e.payload -> 'hashes')),
        unpack_column(e.payload -> 'requests', json_array_length(e.payload -> 'hashes')),
        unpack_column(e.payload -> 'tokens', json_array_length(e.payload -> 'hashes')),
        unpack_column(e.payload -> 'last_accessed_at', json_array_length(e.payload -> 'hashes'))
      ) with ordinality as i(quota_tracked, requests, tokens, last_accessed_at, ordinal)
        using (ordinal)
    where e.version >= 2
  ) i
where e.type = 'KeyStatsFlushed';

grant select on flush_entries to tallybook_service;
