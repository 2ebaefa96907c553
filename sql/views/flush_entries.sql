-- The entries of all flushes, one per row, for use in psql. `group_id` is null for an unknown API
-- key and 0 for one without a group. `quota_tracked` is null for an unknown key. `api_key` is an
-- external id that no API key had; then `api_key_id` is null unless one was posted, too.
create or replace view flush_entries as
select
  e.shard, e.position, e.recorded_at, e.source,
  nullif(i.id::bigint, 0) as api_key_id,
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
  i.requests::numeric as requests,
  -- Version 1 has a column of successes. Version 2 lists the failures of entries that had any.
  coalesce(i.successes::numeric, i.requests::numeric - coalesce(f.failures::numeric, 0))
    as successes,
  null::numeric as tokens,
  null::bigint as last_accessed_at,
  n.name as api_key
from events e
  cross join lateral rows from (
    json_array_elements_text(e.payload -> 'ids'),
    json_array_elements_text(e.payload -> 'requests'),
    json_array_elements_text(e.payload -> 'successes')
  ) with ordinality as i(id, requests, successes, ordinal)
  left join lateral rows from (
    json_array_elements_text(e.payload -> 'failing'),
    json_array_elements_text(e.payload -> 'failures')
  ) as f(index, failures) on f.index::bigint = i.ordinal - 1
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
  i.quota_tracked::boolean,
  i.requests::numeric,
  null,
  i.tokens::numeric,
  i.last_accessed_at::bigint,
  null
from events e
  cross join lateral rows from (
    json_array_elements_text(e.payload -> 'hashes'),
    json_array_elements_text(e.payload -> 'quota_tracked'),
    json_array_elements_text(e.payload -> 'requests'),
    json_array_elements_text(e.payload -> 'tokens'),
    json_array_elements_text(e.payload -> 'last_accessed_at')
  ) with ordinality as i(hash, quota_tracked, requests, tokens, last_accessed_at, ordinal)
where e.type = 'KeyStatsFlushed';

grant select on flush_entries to tallybook_service;
