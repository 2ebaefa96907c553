import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { ApiKeyFlush } from '../../../src/events/api-key-flush.ts'
import {
  encodeApiKeyFlush,
  versionOfApiKeyFlush,
} from '../../../src/events/api-key-flush-payload.ts'
import { insertEvents } from '../../support/events.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../../support/server.ts'
import { startTestService, type TestService } from '../../support/service.ts'

// Flushes that state when they were counted, at more positions than share rows of backdated usage
// (4,096), and reversals of some: every read of the past shows exactly what came before it.

const HOUR_S = 3_600
const HOURS = 6
/** Of each shard. */
const FLUSHES = 5_000
const IDS = [1, 2, 3]
const endS = Math.floor(Date.now() / 1_000 / HOUR_S) * HOUR_S
const startS = endS - HOURS * HOUR_S

/** What one event adds to an hour's usage of an API key; the hour is an index from `startS`. */
type Counted = { shard: number; position: number; id: number; hour: number; requests: number }

let service: TestService
const counted: Counted[] = []

const random = randomFrom(7)

/** Returns a generator of numbers below a limit. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * below)
  }
}

beforeAll(async () => {
  const database = await createDatabase()
  for (let shard = 0; shard < TEST_SHARDS; shard++) await fillShard(database, shard)
  service = await startTestService({ database })
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: IDS.map((id) => ({ id, group_id: 1 })),
  })
  const late = counted.filter(({ position }) => random(300) === 0 || position === 4_094)
  for (const { shard, position, id, hour, requests } of late) {
    const reverse = { reverse: `${shard}/${position}`, reason: 'posted twice' }
    const at = Number((await service.act('/admin/corrections', reverse)).slice(2))
    counted.push({ shard: 0, position: at, id, hour, requests: -requests })
  }
})

afterAll(() => service.end())

/** Inserts flushes of three hours, most of them with a time of their own. */
async function fillShard({ owner }: TestDatabase, shard: number): Promise<void> {
  const flushes: ApiKeyFlush[] = []
  const recordedAt: string[] = []
  for (let position = 0; position < FLUSHES; position++) {
    const at = startS + 2 * HOUR_S + Math.floor((position * 3 * HOUR_S) / FLUSHES)
    const countedAt = [undefined, at, at - random(2 * HOUR_S), at + random(300)][random(4)]
    const [id, requests] = [IDS[random(IDS.length)]!, 1 + random(9)]
    flushes.push({
      ...{ groups: [1], counts: [1], ids: [id], requests: [requests], successes: [requests] },
      ...(countedAt !== undefined && { counted_at: countedAt }),
    })
    recordedAt.push(new Date(at * 1_000).toISOString())
    const hour = Math.floor(((countedAt ?? at) - startS) / HOUR_S)
    counted.push({ shard, position, id, hour, requests })
  }
  const version = flushes.map(versionOfApiKeyFlush)
  const events = { shard, type: 'ApiKeyStatsFlushed', version, recordedAt }
  await insertEvents(owner, flushes.map(encodeApiKeyFlush), events)
}

/** The requests per hour that count at or before these positions. */
function expected(positions: readonly number[] | null, id: number | null): number[] {
  const sums = Array.from({ length: HOURS }, () => 0)
  for (const { shard, position, hour, requests, ...row } of counted) {
    const isAfter = positions !== null && position > positions[shard]!
    if (!isAfter && (id === null || row.id === id)) sums[hour]! += requests
  }
  return sums
}

async function shown(positions: readonly number[] | null, id: number | null): Promise<number[]> {
  const [from, to] = [startS, endS].map((at) => new Date(at * 1_000).toISOString())
  const at = positions?.map((position, shard) => `${shard}/${position}`).join(',')
  const scope = id === null ? '' : `&api_key_id=${id}`
  const { items } = await service.read<{ items: { total_requests: number }[] }>(
    `/admin/usage?from=${from}&to=${to}${scope}${at ? `&as_of_position=${at}` : ''}`,
  )
  return items.map(({ total_requests }) => total_requests)
}

test('usage as of positions within blocks and at their ends is what was counted until then', async () => {
  const ends = [-1, 0, 4_094, 4_095, 4_096, FLUSHES - 1]
  const shards = Array.from({ length: TEST_SHARDS }, (_, shard) => shard)
  const atEnds = ends.map((_, i) => shards.map((shard) => ends[(i + 3 * shard) % ends.length]!))
  const within = Array.from({ length: 12 }, () => shards.map(() => random(FLUSHES)))
  for (const positions of [...atEnds, ...within]) {
    for (const id of [null, 1]) {
      expect({ positions, usage: await shown(positions, id) }).toEqual({
        positions,
        usage: expected(positions, id),
      })
    }
  }
})

test('usage at present is everything that counts in an hour', async () => {
  for (const id of [null, ...IDS]) expect(await shown(null, id)).toEqual(expected(null, id))
})

test('each flush and reversal is explained, wherever its usage is', async () => {
  const found: { shard: number; position: number; counted: { requests: number } }[] = []
  for (let after = ''; ; ) {
    const { items, next_after } = await service.read<{
      items: typeof found
      next_after: string | null
    }>(`/audit/explain?api_key_id=2&limit=1000${after}`)
    found.push(...items)
    if (next_after === null) break
    after = `&after=${next_after}`
  }
  const placed = (rows: { shard: number; position: number; requests: number }[]) =>
    rows.map((row) => `${row.shard}/${row.position}: ${row.requests}`).sort()
  expect(placed(found.map((item) => ({ ...item, requests: item.counted.requests })))).toEqual(
    placed(counted.filter(({ id }) => id === 2)),
  )
})

test('flushes in late hours share rows', async () => {
  const [row] = await service.database.owner<{ rows: number; positions: number }[]>`
    select count(*)::integer as rows, count(distinct (u.shard, u.position))::integer as positions
    from api_key_backdated_usage u
      join projections p on p.projection = 'usage' and p.generation = u.generation
    where isfinite(u.quarter)`
  const acts = counted.filter(({ requests }) => requests < 0)
  expect(row!.positions).toBeLessThanOrEqual(2 * TEST_SHARDS + acts.length)
})
