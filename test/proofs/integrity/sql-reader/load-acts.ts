import type { Transaction } from '../../../../src/platform/postgres/pool.ts'
import { LATEST_ACCESS } from './load.ts'

/** A condition for events of some types that can be read; no other is passed to a reader. */
const isReadable = (...types: string[]) => `
  case when e.type in (${types.map((type) => `'${type}'`).join(', ')})
    then pg_temp.is_readable(e.type, e.version::integer, e.payload) end`

const ACTS = isReadable(
  ...['BalancesOpened', 'TotalsAdjusted', 'EventReversed', 'QuotaReset', 'UnknownKeysAdopted'],
)

const quarterOf = (time: string) => `date_bin('15 minutes', ${time}, '2000-01-01 00:00:00+00')`

const QUARTER = 'pg_temp.quarter_of(e.type, e.version::integer, e.payload, e.recorded_at)'

/** Fills `chunk_acts` with what the copied acts add to accounts. */
export async function loadActs(sql: Transaction): Promise<void> {
  await sql.unsafe(`
    insert into chunk_acts
    select
      a.kind, a.account, coalesce(${quarterOf('a.counted_at')}, '-infinity'),
      sum(a.requests), sum(a.seconds), sum(a.quota_used),
      max(
        case when e.type = 'BalancesOpened'
          then least(a.last_accessed_at, ${LATEST_ACCESS}) else a.last_accessed_at end
      )
    from chunk_events e
      cross join lateral pg_temp.read_act(e.type, e.version::integer, e.payload) a
    where ${ACTS}
    group by 1, 2, 3`)
}

/** Fills `chunk_unknown` with the entries of copied flushes for unknown keys, and what acts took. */
export async function loadUnknown(sql: Transaction): Promise<void> {
  await sql.unsafe(`
    insert into chunk_unknown
    select
      'api_key', coalesce('ext:' || f.api_key, f.api_key_id::text), ${QUARTER},
      sum(f.requests), sum(f.successes), 0, count(distinct e.position)
    from chunk_events e
      cross join lateral pg_temp.read_api_key_entries(e.version::integer, e.payload) f
    where ${isReadable('ApiKeyStatsFlushed')} and f.group_id is null
    group by 2, 3
    union all
    select
      'key', f.token_hash, ${QUARTER},
      sum(f.requests), sum(f.tokens), max(least(f.last_accessed_at, ${LATEST_ACCESS})),
      count(distinct e.position)
    from chunk_events e
      cross join lateral pg_temp.read_key_entries(e.version::integer, e.payload) f
    where ${isReadable('KeyStatsFlushed')} and f.is_tracked is null
    group by 2, 3
    union all
    select
      t.kind, t.name, ${quarterOf('t.counted_at')},
      -sum(t.requests), -sum(t.seconds), 0, -sum(t.flushes)
    from chunk_events e
      cross join lateral pg_temp.read_taken(e.type, e.version::integer, e.payload) t
    where ${ACTS}
    group by 1, 2, 3`)
}
