import { afterAll, beforeAll, expect, test } from 'bun:test'
import { insertEvents, positionOf } from '../support/events.ts'
import { createDatabase, TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// Usage of hours that are long over, in which flushes are reversed now: the present shows them
// without, and every read of the past shows what it showed then.

const HOUR_MS = 3_600_000
const HOURS = 6
const FLUSHES = 12 * TEST_SHARDS
const now = Math.floor(Date.now() / HOUR_MS) * HOUR_MS

/** What one event adds to an hour's usage of an API key; the hour is null if it is in none. */
type Counted = {
  shard: number
  position: number
  id: number
  hour: number | null
  requests: number
}

let service: TestService
const counted: Counted[] = []

beforeAll(async () => {
  const database = await createDatabase()
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    const rows = Array.from({ length: FLUSHES / TEST_SHARDS }, (_, i) => {
      // The first event of each shard is the oldest.
      const at = now - HOURS * HOUR_MS + Math.floor((i * HOURS * HOUR_MS) / 12) + 60_000 * shard
      return { at, id: 1 + (i % 3), requests: 1 + ((7 * i + shard) % 11) }
    })
    await insertEvents(
      database.owner,
      rows.map(({ id, requests }) =>
        JSON.stringify({
          ...{ groups: [1], counts: [1], ids: [id], requests: [requests] },
          ...{ failing: [], failures: [] },
        }),
      ),
      {
        ...{ shard, type: 'ApiKeyStatsFlushed', version: 2 },
        recordedAt: rows.map(({ at }) => new Date(at).toISOString()),
      },
    )
    for (const [position, { at, ...row }] of rows.entries()) {
      counted.push({ shard, position, ...row, hour: Math.floor(at / HOUR_MS) })
    }
  }
  service = await startTestService({ database })
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [1, 2, 3].map((id) => ({ id, group_id: 1 })),
  })
})

afterAll(() => service.end())

const act = async (body: object) => Number((await service.act('/admin/corrections', body)).slice(2))

/** The requests per hour that count at or before these positions. */
function expected(positions: readonly number[], id: number | null): number[] {
  const sums = Array.from({ length: HOURS + 2 }, () => 0)
  for (const { shard, position, hour, requests, ...row } of counted) {
    if (position > positions[shard]! || hour === null || (id !== null && row.id !== id)) continue
    sums[hour - now / HOUR_MS + HOURS]! += requests
  }
  return sums
}

async function shown(positions: readonly number[], id: number | null): Promise<number[]> {
  const range = `from=${new Date(now - HOURS * HOUR_MS).toISOString()}&to=${new Date(now + 2 * HOUR_MS).toISOString()}`
  const at = positions.map((position, shard) => `${shard}/${position}`).join(',')
  const scope = id === null ? '' : `&api_key_id=${id}`
  const { items } = await service.read<{ items: { total_requests: number }[] }>(
    `/admin/usage?${range}${scope}&as_of_position=${at}`,
  )
  return items.map(({ total_requests }) => total_requests)
}

test('usage as of every position is what was counted until then', async () => {
  const flushes = [...counted]
  const heads = () =>
    Array.from({ length: TEST_SHARDS }, (_, shard) =>
      Math.max(...counted.filter((one) => one.shard === shard).map(({ position }) => position)),
    )
  // Reversals of every third flush, in an order of their own, with adjustments and flushes between.
  for (const [i, flush] of flushes
    .filter((_, n) => n % 3 === 1)
    .reverse()
    .entries()) {
    const { id, hour, requests } = flush
    const reverse = `${flush.shard}/${flush.position}`
    const position = await act({ reverse, reason: 'posted twice' })
    counted.push({ shard: 0, position, id, hour, requests: -requests })
    if (i % 4 === 0) {
      const adjust = { api_keys: [{ id, total_requests: 5, success_requests: 5 }] }
      const adjusted = await act({ adjust, reason: 'by hand' })
      counted.push({ shard: 0, position: adjusted, id, hour: null, requests: 5 })
    }
    if (i % 5 === 0) {
      const keys = [{ api_key_id: id, requests: 3 }]
      const response = await service.post('/internal/apikey-stats/flush', { keys })
      const [shard, at] = positionOf(response).split('/').map(Number)
      const current = Math.floor(Date.now() / HOUR_MS)
      counted.push({ shard: shard!, position: at!, id, hour: current, requests: 3 })
    }
  }
  const last = heads()
  for (let back = 0; back < 20 * TEST_SHARDS; back += 3) {
    const positions = last.map((head, shard) =>
      Math.max(-1, head - (shard === 0 ? back : Math.floor(back / 3))),
    )
    for (const id of [null, 1]) {
      expect(await shown(positions, id)).toEqual(expected(positions, id))
    }
  }
  for (const id of [1, 2, 3]) expect(await shown(last, id)).toEqual(expected(last, id))
})

test('a flush of a past hour that was reversed is explained with its reversal', async () => {
  const { items } = await service.read<{
    items: { position: number; type: string; counted: { requests: number } }[]
  }>('/audit/explain?api_key_id=2&limit=1000')
  const own = counted.filter(({ id }) => id === 2)
  expect(items.reduce((sum, item) => sum + item.counted.requests, 0)).toBe(
    own.reduce((sum, { requests }) => sum + requests, 0),
  )
  expect(items).toHaveLength(own.length)
})
