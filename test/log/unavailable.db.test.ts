import { expect, test } from 'bun:test'
import { INTERVALS } from '../../src/platform/intervals.ts'
import { countFlushes, lockShards } from '../support/events.ts'
import { keyOfShard } from '../support/keys.ts'
import { positionOfOutcome, useLog } from '../support/log.ts'
import { TEST_SHARDS } from '../support/server.ts'

// Invariant 1 when the database can't accept a flush: it is refused, and nothing is half done.

const REFUSED = { kind: 'unavailable', reason: 'database' } as const

const log = useLog({
  intervals: {
    database: { ...INTERVALS.database, lockTimeoutMs: 200 },
    log: { ...INTERVALS.log, cooldownMs: 60_000 },
  },
})

test.skipIf(TEST_SHARDS === 1)('flushes without a key go to shards that accept them', async () => {
  const lock = await lockShards(log.database, [0])
  try {
    const key = keyOfShard(0, TEST_SHARDS, 'unavailable')
    expect(await log.flush(1, 1, { key })).toEqual(REFUSED)
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => log.flush(1, 1)))
    for (const { kind } of outcomes) expect(kind).toBe('appended')
  } finally {
    await lock.release()
  }
})

test('while another program holds the lock, a flush is refused and never stored', async () => {
  const before = await countFlushes(log.database.owner)
  const lock = await lockShards(log.database)
  try {
    // The lock is released only when all have an outcome.
    const attempts = [{ key: 'a' }, { key: 'b' }, {}]
    // A concurrent second attempt shares the outcome of the first.
    const outcomes = await Promise.all(
      [...attempts, ...attempts].map((options) => log.flush(1, 1, options)),
    )
    for (const outcome of outcomes) expect(outcome).toEqual(REFUSED)
  } finally {
    await lock.release()
  }
  // Whatever the server still did for the refused flushes would now be in the log before these.
  const keys = Array.from({ length: TEST_SHARDS }, (_, shard) =>
    keyOfShard(shard, TEST_SHARDS, 'later'),
  )
  const later = await Promise.all(keys.map((key) => log.flush(1, 1, { key })))
  expect(new Set(later.map(positionOfOutcome)).size).toBe(TEST_SHARDS)
  expect(await countFlushes(log.database.owner)).toBe(before + TEST_SHARDS)
})
