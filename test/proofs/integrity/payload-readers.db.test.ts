import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { PayloadError } from '../../../src/events/columns.ts'
import { decodeEvent, toRows } from '../../../src/events/event.ts'
import { statedTimeOf } from '../../../src/events/flush.ts'
import { latestAccess } from '../../../src/events/key-flush.ts'
import { type Sql, type Transaction, transact } from '../../../src/platform/postgres/pool.ts'
import { parametersOf, runsOf, timeoutOf } from '../../property/runs.ts'
import { insertEvents } from '../../support/events.ts'
import { useDatabase } from '../../support/server.ts'
import { readBooks } from './read-books.ts'
import { loadChunk } from './sql-reader/load-chunk.ts'
import { openReader } from './sql-reader/session.ts'
import { storedAct } from './stored-acts.ts'
import { storedEvent } from './stored-events.ts'
import { storedRule } from './stored-rules.ts'
import { storedToken } from './stored-tokens.ts'

// A second reader of payloads, in SQL, shares no code with that of the service. Whatever the log
// contains, both accept the same events, read the same entries from flushes, count the same for
// acts, and have the same left for unknown keys.

let session: Sql

// Registered first, so that the session ends before the database is dropped.
afterAll(() => session.end())
const database = useDatabase()
beforeAll(async () => {
  await database.owner`alter table events disable trigger user`
  session = await openReader(database.address)
})

const runs = runsOf(200)

test(
  `the SQL reader and the service read the same entries, in ${runs} logs`,
  async () => {
    const logs = fc.array(fc.oneof(storedEvent, storedAct, storedRule, storedToken), {
      minLength: 1,
      maxLength: 60,
    })
    await fc.assert(
      fc.asyncProperty(logs, async (events) => {
        const { owner } = database
        await owner`delete from events`
        await insertEvents(
          owner,
          events.map(({ payload }) => payload),
          { recordedAt: RECORDED_AT },
        )
        await owner`
          update events e set type = n.type, version = n.version
          from unnest(
              ${events.map(({ type }) => type)}::text[],
              ${events.map(({ version }) => version)}::smallint[]
            ) with ordinality n(type, version, number)
          where e.position = n.number - 1`
        const { named, ...read } = readInTypeScript(events)
        const books = readBooks(events, RECORDED_AT)
        expect(await readInSql(events.length)).toEqual({ ...read, ...books })
        const shown = await owner<{ row: string }[]>`
          select to_json(array[position::text, api_key_id::text, api_key]) #>> '{}' as row
          from flush_entries
          where position = any(${[...new Set(named.map(([position]) => position!))]}::bigint[])`
        const expected = named.map((row) => JSON.stringify(row)).sort()
        expect(shown.map(({ row }) => row).sort()).toEqual(expected)
      }),
      parametersOf(runs),
    )
  },
  timeoutOf(runs),
)

const RECORDED_AT = '2026-01-31T12:00:00.000000+00:00'

/** The start of a quarter hour, in seconds since 1970. */
const quarterOf = (seconds: number) => seconds - (seconds % 900)

type Read = {
  unreadable: (string | null)[]
  apiKeys: string[]
  keys: string[]
  acts: string[]
  unknown: string[]
}

/** The position, the id and the external id of each entry of flushes with external ids. */
type Named = { named: (string | null)[][] }

async function readInSql(length: number): Promise<Read> {
  await session`delete from unreadable`
  return transact(session, '', async (transaction) => {
    await loadChunk(transaction, { shard: 0, after: -1, through: length - 1 })
    const unreadable = await transaction<{ place: string }[]>`
      select concat_ws(' ', position, reason) as place from unreadable order by position`
    const apiKeys = await transaction<{ row: string }[]>`
      select concat_ws(' ', extract(epoch from quarter)::bigint, coalesce(group_id, -1), api_key_id,
        sum(requests), sum(successes)) as row
      from chunk_api_keys
      group by quarter, group_id, api_key_id having sum(requests) > 0 order by 1`
    const keys = await transaction<{ row: string }[]>`
      select concat_ws(' ', extract(epoch from quarter)::bigint, token_hash, sum(requests),
        sum(tokens), sum(quota_used), max(last_accessed_at)) as row
      from chunk_keys group by quarter, token_hash order by 1`
    const acts = await transaction<{ row: string }[]>`
      select concat_ws(' ', kind, account, ${quarter(transaction)}, sum(requests), sum(seconds),
        sum(quota_used), max(last_accessed_at)) as row
      from chunk_acts group by kind, account, quarter`
    const unknown = await transaction<{ row: string }[]>`
      select concat_ws(' ', kind, name, ${quarter(transaction)}, sum(requests), sum(seconds),
        max(last_accessed_at), sum(flushes)) as row
      from chunk_unknown group by kind, name, quarter`
    const sorted = (rows: { row: string }[]) => rows.map(({ row }) => row).sort()
    return {
      unreadable: unreadable.map(({ place }) => place),
      apiKeys: apiKeys.map(({ row }) => row),
      keys: keys.map(({ row }) => row),
      acts: sorted(acts),
      unknown: sorted(unknown),
    }
  })
}

const quarter = (sql: Transaction) => sql`
  case when quarter = '-infinity' then 'none'
    else to_char(quarter at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')
  end`

function readInTypeScript(
  events: { type: string; version: number; payload: string }[],
): Omit<Read, 'acts' | 'unknown'> & Named {
  const unreadable: string[] = []
  const named: (string | null)[][] = []
  const apiKeys = new Map<string, bigint[]>()
  const keys = new Map<string, bigint[]>()
  const add = (sums: Map<string, bigint[]>, name: string, values: number[]) => {
    const before = sums.get(name) ?? values.map(() => 0n)
    sums.set(
      name,
      values.map((value, i) => before[i]! + BigInt(value)),
    )
  }
  events.forEach(({ type, version, payload }, position) => {
    try {
      const event = decodeEvent(type, version, payload)
      const quarter = quarterOf(statedTimeOf(event) ?? Date.parse(RECORDED_AT) / 1_000)
      for (const row of toRows(event) ?? []) {
        if ('api_key_id' in row) {
          const id = row.api_key_id?.toString() ?? null
          if (version >= 3) named.push([String(position), id, row.api_key ?? null])
          if (row.requests === 0) continue
          const name = `${quarter} ${row.group_id ?? -1} ${row.api_key_id ?? 0}`
          add(apiKeys, name, [row.requests, row.success_requests])
        } else if (row.quota_tracked !== null) {
          if (!row.requests && !row.tokens && !row.last_accessed_at) continue
          const name = `${quarter} ${row.token_hash}`
          const last = keys.get(name)?.[3] ?? 0n
          add(keys, name, [
            ...[row.requests, row.tokens, row.quota_tracked ? row.tokens : 0],
            Math.max(0, Math.min(row.last_accessed_at, latestAccess(RECORDED_AT)) - Number(last)),
          ])
        }
      }
    } catch (error) {
      if (!(error instanceof PayloadError)) throw error
      unreadable.push(`${position} ${error.message}`)
    }
  })
  const list = (sums: Map<string, bigint[]>) =>
    [...sums].map(([name, values]) => `${name} ${values.join(' ')}`).sort()
  return { unreadable, apiKeys: list(apiKeys), keys: list(keys), named }
}
