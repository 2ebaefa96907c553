import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { PostedFlush } from '../../src/events/flush.ts'
import { shardOfKey } from '../../src/events/shard-of-key.ts'
import { Catalog } from '../../src/log/catalog/catalog.ts'
import { Log } from '../../src/log/log.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { countFlushes } from '../support/events.ts'
import { TEST_SHARDS, useDatabase } from '../support/server.ts'

// An idempotency key belongs to its token, even if two tokens use the same key in one shard.

const KEY = 'a key'
const [FIRST, SECOND, THIRD] = tokensOfShard(0) as [string, string, string]

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

/** Returns the names of three tokens whose flushes with the key go to this shard. */
function tokensOfShard(shard: number): string[] {
  const names = Array.from({ length: 100 * TEST_SHARDS }, (_, i) => `token-${i}`)
  return names.filter((name) => shardOfKey(name, KEY, TEST_SHARDS) === shard).slice(0, 3)
}

const flushOf = (requests: number): PostedFlush => ({
  type: 'ApiKeyStatsFlushed',
  entries: { ids: [1], requests: [requests], successes: [requests] },
})

test('flushes of two tokens with one key count once each while both are in flight', async () => {
  const attempts = [FIRST, SECOND, FIRST].map((token) => log.append(flushOf(1), token, KEY))
  const [first, second, again] = await Promise.all(attempts)
  expect(first).toMatchObject({ kind: 'appended', replayed: false })
  expect(second).toMatchObject({ kind: 'appended', replayed: false })
  expect(again).toEqual({ ...first!, replayed: true } as never)
  expect(await countFlushes(database.owner)).toBe(2)
})

test('a stored key of another token is not a reuse, whatever the entries', async () => {
  expect(await log.append(flushOf(2), THIRD, KEY)).toMatchObject({
    kind: 'appended',
    replayed: false,
  })
  expect(await log.append(flushOf(3), THIRD, KEY)).toEqual({ kind: 'key_reused' })
  expect(await countFlushes(database.owner)).toBe(3)
})
