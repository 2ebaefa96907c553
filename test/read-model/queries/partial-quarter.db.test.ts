import { afterAll, beforeAll, expect, test } from 'bun:test'
import { encodeApiKeyFlush } from '../../../src/events/api-key-flush-payload.ts'
import { openPools, type Pools } from '../../../src/platform/postgres/pool.ts'
import { AsOfQueries } from '../../../src/read-model/queries/as-of.ts'
import { readPartialParts } from '../../../src/read-model/queries/as-of-parts.ts'
import type { Scope } from '../../../src/read-model/queries/scope.ts'
import { TooManyEvents } from '../../../src/read-model/queries/usage-by.ts'
import { insertEvents } from '../../support/events.ts'
import { createDatabase, TEST_SHARDS } from '../../support/server.ts'
import { startTestService, type TestService } from '../../support/service.ts'

// Usage by dimension as of a time within a quarter hour folds the events before that time, or those
// after it if they are fewer, and never more than it may.

const FLUSHES = 40
/** The start of a quarter hour. */
const startMs = (Math.floor(Date.now() / 900_000) - 40) * 900_000

let service: TestService
let pools: Pools

beforeAll(async () => {
  const database = await createDatabase()
  const payloads = Array.from({ length: FLUSHES }, (_, i) =>
    encodeApiKeyFlush({
      ...{ groups: [1], counts: [2], ids: [1, 2], requests: [1, 1], successes: [1, 1] },
      details: {
        ...{ dimensions: ['model'], combinations: [['a'], ['b']], counted: [['a'], ['b']] },
        combination: [i % 2, 0],
        measures: [{ name: 'cost', number: 0, values: [i, 0] }],
      },
    }),
  )
  const catalog = {
    ...{ provider_groups: [{ id: 1, name: null }], api_keys: [{ id: 1, group_id: 1, name: null }] },
    ...{ dimensions: [{ name: 'model' }], measures: [{ name: 'cost', number: 0 }] },
  }
  await insertEvents(database.owner, [JSON.stringify({ upserted: catalog, ended: {} })], {
    ...{ type: 'CatalogChanged', version: 3, recordedAt: new Date(startMs).toISOString() },
  })
  const recordedAt = payloads.map((_, i) => new Date(startMs + i * 1_000).toISOString())
  const events = { type: 'ApiKeyStatsFlushed', version: 5, recordedAt }
  await insertEvents(database.owner, payloads, events)
  // Flushes without dimensions and measures do not count.
  const plain = encodeApiKeyFlush({
    ...{ groups: [1], counts: [1], ids: [1], requests: [1], successes: [1] },
  })
  await insertEvents(database.owner, [plain, plain, plain], {
    ...{ type: 'ApiKeyStatsFlushed', version: 2 },
    recordedAt: new Date(startMs + 60_000).toISOString(),
  })
  service = await startTestService({ database })
  pools = openPools(database.address, TEST_SHARDS)
})

afterAll(async () => {
  await pools.close()
  await service.end()
})

type Item = { dimensions: { model: string }; total_requests: number; measures: { cost: number } }

async function models(scope: string, position: number | null) {
  const [from, to] = [startMs, startMs + 3_600_000].map((at) => new Date(at).toISOString())
  // The first event is the change of the catalog.
  const asOf = position === null ? '' : `&as_of_position=0/${position + 1}`
  const { items } = await service.read<{ items: Item[] }>(
    `/admin/breakdown?by=model&from=${from}&to=${to}${scope}${asOf}`,
  )
  return Object.fromEntries(
    items.map(({ dimensions, total_requests, measures }) => [
      dimensions.model,
      [total_requests, measures.cost],
    ]),
  )
}

test('usage by dimension is exact as of each position of a quarter hour', async () => {
  for (const last of [0, 1, 5, 19, 20, 21, 35, FLUSHES - 2, FLUSHES - 1]) {
    const sums: Record<string, number[]> = {}
    for (let i = 0; i <= last; i++) {
      const model = i % 2 === 0 ? 'a' : 'b'
      const [requests, cost] = sums[model] ?? [0, 0]
      sums[model] = [requests! + 1, cost! + i]
    }
    expect(await models('&api_key_id=1', last)).toEqual(sums)
  }
})

test('the fewer events are folded, of one account only, and not more than allowed', async () => {
  const history = new AsOfQueries(pools, TEST_SHARDS)
  const read = (last: number, maxEvents: number, scope: Scope) => {
    const positions = Array.from({ length: TEST_SHARDS }, (_, shard) =>
      shard === 0 ? last + 1 : -1,
    )
    return history.readQuarters(pools.read, positions, scope, (transaction, quarters) =>
      readPartialParts(transaction, scope, quarters, null, maxEvents),
    )
  }
  const key: Scope = { kind: 'api_key', account: 1 }
  await models('', null)
  const { columns, fromRow } = await read(FLUSHES - 3, 2, key)
  expect([...fromRow]).toEqual([0])
  expect(columns.find(({ name }) => name === 'account')!.text).toBe('{1,1}')
  expect([...(await read(1, 2, key)).fromRow]).toEqual([])
  for (const last of [2, 20, FLUSHES - 4]) {
    await expect(read(last, 2, key)).rejects.toBeInstanceOf(TooManyEvents)
  }
  const all = await read(20, FLUSHES, { kind: 'provider_group', account: null })
  expect(all.columns.find(({ name }) => name === 'account')!.text).toBe('{0,0}')
})
