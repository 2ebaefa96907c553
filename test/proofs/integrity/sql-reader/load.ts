import type { Transaction } from '../../../../src/platform/postgres/pool.ts'
import type { Chunk } from '../../../../src/proofs/integrity/chunk.ts'

// Fills the chunk tables from payloads with casts of whole columns: `[1,2]` becomes `{1,2}`, which
// PostgreSQL reads as an array at native speed. Any other payload makes a cast fail or a row bad,
// and `load-carefully.ts` reads the chunk instead.

/** Brackets become braces; characters that a column of numbers may not have become letters. */
const COUNTS = `'[]{}"', '{}xxx'`
const FLAGS = `'[]{}"0123456789', '{}xxxxxxxxxxxxx'`

/** True if all values of a column are counts of at least `least`; not true if one is null. */
const areCounts = (column: string, least = 0) =>
  `${least} <= all (${column}) and 9007199254740991 >= all (${column})`

/** Excludes a list of lists, which would be an array too, and a text with brackets. */
const isFlat = (column: string, isOptional = false) =>
  `coalesce(array_ndims(a.${column}) = 1, x.${column} = '[]'${isOptional ? ', true' : ''})
    and coalesce(json_typeof(e.payload -> '${column}') = 'array', ${isOptional})`

/** Casts once, checks whole columns, and then makes rows of them; `offset 0` keeps this order. */
const API_KEY_FLUSHES = `
  insert into chunk_api_keys
  select
    e.quarter, r.group_id, r.api_key_id, sum(r.requests), sum(r.successes), bool_or(e.is_bad)
  from (
    select
      e.quarter, e.version, e.ids, e.requests, e.failing, e.failures, e.successes, e.entry_groups,
      (
        e.is_flat
        and ${areCounts('e.ids', 1)}
        and ${areCounts('e.requests')}
        and (${areCounts('e.groups')}) is not false
        and 0 <= all (e.counts)
        and cardinality(e.requests) = cardinality(e.ids)
        and cardinality(e.entry_groups) = cardinality(e.ids)
        and cardinality(e.groups) = cardinality(e.counts)
        and (select coalesce(sum(c), 0) from unnest(e.counts) c) = cardinality(e.ids)
        and case
          when e.version = 1 then ${areCounts('e.successes')}
            and cardinality(e.successes) = cardinality(e.ids)
          else cardinality(e.failing) = cardinality(e.failures)
            and 0 <= all (e.failures)
            -- An entry listed twice could have more failures than requests.
            and (
              select coalesce(bool_and(f.failures <= e.requests[f.index + 1]), true)
                and count(distinct f.index) = cardinality(e.failing)
              from unnest(e.failing, e.failures) as f(index, failures)
              where f.index between 0 and cardinality(e.ids) - 1
            )
        end
      ) is not true as is_bad
    from (
      select
        date_bin('15 minutes', e.recorded_at, '2000-01-01 00:00:00+00') as quarter,
        e.version, a.*,
        ${['groups', 'counts', 'ids', 'requests'].map((column) => isFlat(column)).join(' and ')}
          and ${['failing', 'failures', 'successes']
            .map((column) => isFlat(column, true))
            .join(' and ')} as is_flat,
        case
          when cardinality(a.groups) = 1 and a.counts[1] = cardinality(a.ids)
            then array_fill(a.groups[1], array[cardinality(a.ids)])
          else array(
            select g.group_id
            from unnest(a.groups, a.counts) with ordinality as g(group_id, length, ordinal)
              cross join generate_series(1, least(g.length, cardinality(a.ids)))
            order by g.ordinal
          )
        end as entry_groups
      from events e
        cross join lateral json_to_record(e.payload) as x(
          groups text, counts text, ids text, requests text,
          failing text, failures text, successes text
        )
        cross join lateral (
          select
            translate(x.groups, ${COUNTS})::bigint[] as groups,
            translate(x.counts, ${COUNTS})::bigint[] as counts,
            translate(x.ids, ${COUNTS})::bigint[] as ids,
            translate(x.requests, ${COUNTS})::bigint[] as requests,
            translate(x.failing, ${COUNTS})::bigint[] as failing,
            translate(x.failures, ${COUNTS})::bigint[] as failures,
            translate(x.successes, ${COUNTS})::bigint[] as successes
          offset 0
        ) a
      where e.shard = $1 and e.position > $2 and e.position <= $3
        and e.type = 'ApiKeyStatsFlushed' and e.version in (1, 2)
      offset 0
    ) e
    offset 0
  ) e
    cross join lateral (
      select u.group_id, u.api_key_id, u.requests, u.requests as successes
      from unnest(e.entry_groups, e.ids, e.requests) as u(group_id, api_key_id, requests)
      union all
      select e.entry_groups[f.index + 1], e.ids[f.index + 1], 0, -f.failures
      from unnest(e.failing, e.failures) as f(index, failures)
      where e.version = 2
      union all
      select u.group_id, u.api_key_id, 0, u.successes - u.requests
      from unnest(e.entry_groups, e.ids, e.requests, e.successes)
        as u(group_id, api_key_id, requests, successes)
      where e.version = 1 and u.requests > 0
      union all
      select null, null, 0, 0
      where e.is_bad
    ) r
  group by e.quarter, r.group_id, r.api_key_id`

/** The latest access of event `e` that counts: five minutes after its flush was recorded. */
export const LATEST_ACCESS = 'floor(extract(epoch from e.recorded_at))::bigint + 300'

const KEY_FLUSHES = `
  insert into chunk_keys
  select
    e.quarter, r.token_hash,
    sum(r.requests), sum(r.tokens), coalesce(sum(r.tokens) filter (where r.is_tracked), 0),
    max(least(r.last_accessed_at, ${LATEST_ACCESS})), bool_or(r.is_sound is not true)
  from (
    select
      date_bin('15 minutes', e.recorded_at, '2000-01-01 00:00:00+00') as quarter,
      e.recorded_at, x.hashes, a.*
    from events e
      cross join lateral json_to_record(e.payload) as x(
        hashes json, requests text, tokens text, last_accessed_at text, quota_tracked text
      )
      cross join lateral (
        select
          translate(x.requests, ${COUNTS})::bigint[] as requests,
          translate(x.tokens, ${COUNTS})::bigint[] as tokens,
          translate(x.last_accessed_at, ${COUNTS})::bigint[] as accesses,
          translate(x.quota_tracked, ${FLAGS})::boolean[] as tracked,
          concat(x.requests, x.tokens, x.last_accessed_at, x.quota_tracked)
            !~ '\\[\\s*\\['
            and ${['requests', 'tokens', 'last_accessed_at', 'quota_tracked']
              .map((column) => `json_typeof(e.payload -> '${column}') = 'array'`)
              .join(' and ')} as is_flat
        offset 0
      ) a
    where e.shard = $1 and e.position > $2 and e.position <= $3
      and e.type = 'KeyStatsFlushed' and e.version = 1
  ) e
    cross join lateral (
      select
        case
          when strpos(u.hash::text, '\\') > 0 then u.hash #>> '{}'
          else substr(u.hash::text, 2, length(u.hash::text) - 2)
        end as token_hash,
        u.requests, u.tokens, u.last_accessed_at, u.is_tracked,
        left(u.hash::text, 1) = '"' and length(u.hash::text) > 2
          and u.requests between 0 and 9007199254740991
          and u.tokens between 0 and 9007199254740991
          and u.last_accessed_at between 0 and 253402300799 as is_sound
      from rows from (
        json_array_elements(e.hashes), unnest(e.requests), unnest(e.tokens), unnest(e.accesses),
        unnest(e.tracked)
      ) as u(hash, requests, tokens, last_accessed_at, is_tracked)
      union all
      select null, 0, 0, 0, false, false
      where (
        e.is_flat
        and cardinality(e.requests) = json_array_length(e.hashes)
        and cardinality(e.tokens) = json_array_length(e.hashes)
        and cardinality(e.accesses) = json_array_length(e.hashes)
        and cardinality(e.tracked) = json_array_length(e.hashes)
      ) is not true
    ) r
  where r.is_sound is not true
    or r.is_tracked is not null and (r.requests > 0 or r.tokens > 0 or r.last_accessed_at > 0)
  group by e.quarter, r.token_hash`

/** Returns false or throws if the casts refuse a flush of the chunk: then roll all of it back. */
export async function loadWithCasts(sql: Transaction, chunk: Chunk): Promise<boolean> {
  const range = [chunk.shard, chunk.after, chunk.through]
  await sql.unsafe(API_KEY_FLUSHES, range, { prepare: true })
  await sql.unsafe(KEY_FLUSHES, range, { prepare: true })
  const [row] = await sql<{ is_plain: boolean }[]>`
    select not (
      exists (select from chunk_api_keys where is_bad)
      or exists (select from chunk_keys where is_bad)
    ) as is_plain`
  return row!.is_plain
}
