import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Catalog } from '../../src/catalog/catalog.ts'
import { openPools, type Pools } from '../../src/db/pool.ts'
import type { PostedFlush } from '../../src/events/flush.ts'
import { Log } from '../../src/log/log.ts'
import { countFlushes } from '../support/events.ts'
import { TEST_SHARDS, useDatabase } from '../support/server.ts'

// An idempotency key belongs to the token that it was sent with.

const database = useDatabase()
let pools: Pools
let log: Log

beforeAll(() => {
  pools = openPools(database.address, TEST_SHARDS)
  log = new Log({
    sql: pools.append,
    shards: TEST_SHARDS,
    catalog: new Catalog(),
    refreshCatalog: async () => {},
    onAppended: () => {},
  })
})

afterAll(async () => {
  await log.stop()
  await pools.close()
})

const flushOf = (requests: number): PostedFlush => ({
  type: 'ApiKeyStatsFlushed',
  entries: { ids: [1], requests: [requests], successes: [requests] },
})

test('flushes of two tokens with one key count once each, while both are on their way', async () => {
  const tries = ['first', 'second', 'first'].map((token) => log.append(flushOf(1), token, 'a key'))
  const [first, second, again] = await Promise.all(tries)
  expect(first).toMatchObject({ kind: 'appended', replayed: false })
  expect(second).toMatchObject({ kind: 'appended', replayed: false })
  expect(again).toEqual({ ...first!, replayed: true } as never)
  expect(await countFlushes(database.owner)).toBe(2)
})

test('a key of another token is no reuse, whatever its entries, once it is in the log', async () => {
  expect(await log.append(flushOf(2), 'third', 'a key')).toMatchObject({
    kind: 'appended',
    replayed: false,
  })
  expect(await log.append(flushOf(3), 'third', 'a key')).toEqual({ kind: 'key_reused' })
  expect(await countFlushes(database.owner)).toBe(3)
})
