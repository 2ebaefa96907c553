import { afterEach, beforeEach, expect, test } from 'bun:test'
import {
  connectAsOwner,
  openPools,
  type Pools,
  transact,
} from '../../../src/platform/postgres/pool.ts'
import { CURRENT } from '../../../src/read-model/projections/index.ts'
import { insertEvent, lockRows, untilWaiting } from '../../support/events.ts'
import { startTestService, type TestService } from '../../support/service.ts'

// Invariant 5: counters and checkpoint move in one transaction; a stale or second projector can
// only fail. Invariant 7: no accepted input stops a projector or overflows a counter.

const FLUSH = '/internal/apikey-stats/flush'
const KEY_FLUSH = '/internal/stats/flush'

let service: TestService
let pools: Pools

beforeEach(async () => {
  service = await startTestService()
  pools = openPools(service.database.address, service.shards)
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 1, group_id: 1 }],
    keys: [{ token_hash: 'q', quota_limit: 1 }],
  })
})

afterEach(async () => {
  await pools.close()
  await service.end()
})

const post = async (from: TestService, requests: number) => {
  const keys = [{ api_key_id: 1, requests, success_requests: requests }]
  expect((await from.post(FLUSH, { keys })).status).toBe(200)
}

const readTotal = async (from = service) =>
  (await from.read<{ total_requests: number }>('/admin/api-keys/1')).total_requests

/** Returns what readers see: the counter, and how many flushes the checkpoints have passed. */
async function readCommitted(): Promise<{ counted: number; passed: number }> {
  const [row] = await transact(
    pools.read,
    'isolation level repeatable read',
    (transaction) => transaction`
      select
        (select coalesce(sum(requests), 0)::integer from api_key_counters) as counted,
        (
          select count(*)::integer
          from events e
            join checkpoints c on c.shard = e.shard and c.projection = 'api_key_counters'
          where e.type = 'ApiKeyStatsFlushed' and e.position <= c.position
        ) as passed`,
  )
  return row as { counted: number; passed: number }
}

test('a projector killed in its transaction writes nothing, and recovers', async () => {
  // One flush per shard, so that the rows locked below exist.
  const { shards } = service
  for (let i = 0; i < shards; i++) await post(service, 1)
  expect(await readTotal()).toBe(shards)
  const { owner } = service.database
  const other = connectAsOwner(service.database.address)
  const connection = await other.reserve()
  for (let round = shards + 1; round < shards + 4; round++) {
    // The counters' rows are locked, so that a batch waits after it has moved its checkpoints.
    await connection`begin`
    await lockRows(connection, 'provider_group_counters')
    await post(service, 1)
    const [pid] = await untilWaiting(owner, 1)
    expect(await readCommitted()).toEqual({ counted: round - 1, passed: round - 1 })
    await owner`select pg_terminate_backend(${pid!}::integer)`
    expect(await readCommitted()).toEqual({ counted: round - 1, passed: round - 1 })
    await connection`rollback`
    expect(await readTotal()).toBe(round)
    expect(await readCommitted()).toEqual({ counted: round, passed: round })
  }
  connection.release()
  await other.end()
})

test('counters and checkpoint always agree while two instances project', async () => {
  const other = await startTestService({ database: service.database })
  try {
    let posting = true
    const posters = [service, other, service, other].map(async (instance) => {
      for (let i = 0; i < 25; i++) {
        await post(instance, 1)
        // Makes this instance's projector run at once, concurrently with the other's.
        if (i % 5 === 0) await readTotal(instance)
      }
    })
    const posted = Promise.all(posters).finally(() => {
      posting = false
    })
    while (posting) {
      const { counted, passed } = await readCommitted()
      expect(counted).toBe(passed)
    }
    await posted
    expect(await readTotal(service)).toBe(100)
    expect(await readTotal(other)).toBe(100)
  } finally {
    await other.stop()
  }
})

test("an event that can't be folded is parked and shown, and the rest is folded", async () => {
  const { owner, shards } = { owner: service.database.owner, shards: service.shards }
  const broken = [
    { type: 'SomethingElse', payload: '{}', reason: 'no reader for SomethingElse version 1' },
    { type: 'ApiKeyStatsFlushed', payload: '{"ids":[1]}', reason: 'no column requests' },
    { type: 'KeyStatsFlushed', payload: '[]', reason: 'no column hashes' },
    { type: 'CatalogChanged', payload: '{}', reason: 'upserted' },
    {
      type: 'ApiKeyStatsFlushed',
      payload: '{"groups":[1],"counts":[1],"ids":[1],"requests":[1e400],"successes":[0]}',
      reason: 'a value of requests is out of range',
    },
  ]
  const parked: { shard: number; position: number; reason: unknown }[] = []
  for (let shard = 0; shard < shards; shard++) {
    for (const { reason, ...event } of broken) {
      const position = await insertEvent(owner, { shard, ...event })
      parked.push({ shard, position, reason: expect.stringContaining(reason) })
    }
  }
  await post(service, 7)
  expect(await readTotal()).toBe(7)
  const { items, parked_events } = await service.read<{
    items: { name: string; checkpoint: string; head: string; lag_events: number }[]
    parked_events: unknown
  }>('/admin/projections')
  expect(parked_events).toEqual({ count: parked.length, events: parked })
  const current = items.filter(({ name }) => CURRENT.some((projection) => projection.name === name))
  expect(current).toHaveLength(CURRENT.length)
  for (const { checkpoint, head, lag_events } of current) {
    expect(checkpoint).toBe(head)
    expect(lag_events).toBe(0)
  }
})

test('counters of 2,000 flushes of 2^53 - 1 are exact to the last digit', async () => {
  const max = Number.MAX_SAFE_INTEGER
  const flushes = 1_000
  // Two entries each: 2,000 times the largest count that a body may contain.
  const keys = [1, 2].map(() => ({ api_key_id: 1, requests: max, success_requests: max }))
  const keyKeys = [1, 2].map(() => ({ token_hash: 'q', requests: max, tokens: max }))
  for (let i = 0; i < flushes; i += 50) {
    const posts = Array.from({ length: 50 }, () => [
      service.post(FLUSH, { keys }),
      service.post(KEY_FLUSH, { keys: keyKeys }),
    ])
    for (const response of await Promise.all(posts.flat())) expect(response.status).toBe(200)
  }
  await service.post(FLUSH, { keys: [{ api_key_id: 1, requests: 7 }] })
  const sum = BigInt(max) * 2_000n
  const text = async (path: string) => (await service.fetch('admin', path)).text()
  const rated = `"total_requests":${sum + 7n},"success_requests":${sum},"failure_requests":7,`
  expect(await text('/admin/api-keys/1')).toContain(rated)
  expect(await text('/admin/provider-groups/1')).toContain(rated)
  expect(await text('/admin/apikey-stats/summary')).toContain(rated)
  expect(await text('/admin/keys/q')).toContain(
    `"request_count":${sum},"used_tokens":${sum},"quota_limit":1,"quota_used":${sum},`,
  )
})
