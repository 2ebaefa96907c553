import { expect, test } from 'bun:test'
import type { PostedFlush } from '../../src/events/flush.ts'
import { Catalog } from '../../src/log/catalog/catalog.ts'
import { Log } from '../../src/log/log.ts'
import { openPools } from '../../src/platform/postgres/pool.ts'
import { lockShards, readPositions, untilWaiting } from '../support/events.ts'
import { keyOfShard } from '../support/keys.ts'
import { TEST_SHARDS, useDatabase } from '../support/server.ts'

// Invariant 1 when more flushes arrive than a shard's queue holds.

/** Flushes that a shard's queue holds at most. */
const MAX_FLUSHES = 10_000

const database = useDatabase()

test('a full queue refuses flushes; acknowledged ones are in the log exactly once', async () => {
  const { owner } = database
  // So that only the queue refuses, however slow the machine is.
  const pools = openPools(database.address, TEST_SHARDS, { lockTimeoutMs: 60_000 })
  const log = new Log({
    ...{ sql: pools.append, shards: TEST_SHARDS, catalog: new Catalog() },
    ...{ refreshCatalog: async () => {}, onAppended: () => {} },
  })
  const posted: PostedFlush = {
    type: 'ApiKeyStatsFlushed',
    entries: { ids: [1], requests: [1], successes: [1] },
  }
  const keys = Array.from({ length: MAX_FLUSHES + 1 }, (_, i) => keyOfShard(0, TEST_SHARDS, `${i}`))
  const post = (key: string) => log.append(posted, 'dp', key)
  const lock = await lockShards(database)
  const [last, ...others] = keys.toReversed()
  const accepted = others.map(post)
  expect(log.queueLength).toBe(MAX_FLUSHES)
  await untilWaiting(owner, 1)
  expect(await post(last!)).toEqual({ kind: 'unavailable', reason: 'queue full' })
  await lock.release()

  const positions = (await Promise.all(accepted)).map((outcome) => {
    expect(outcome).toMatchObject({ kind: 'appended', replayed: false, shard: 0 })
    return 'position' in outcome ? outcome.position : -1
  })
  expect(positions).toEqual(positions.map((_, i) => i))
  expect(await readKeys()).toEqual(others.toSorted())

  // There is room again: the refused flush is accepted now, and every key is stored once.
  expect(await post(last!)).toMatchObject({
    kind: 'appended',
    replayed: false,
    position: MAX_FLUSHES,
  })
  expect(await readKeys()).toEqual(keys.toSorted())
  expect(await readPositions(owner, 0)).toEqual(keys.map((_, i) => i))
  expect(log.queueLength).toBe(0)
  await pools.close()
})

const readKeys = async () =>
  (await database.owner<{ key: string }[]>`select idempotency_key as key from events`)
    .map(({ key }) => key)
    .sort()
