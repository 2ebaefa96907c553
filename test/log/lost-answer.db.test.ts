import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { AppendOutcome } from '../../src/log/queue.ts'
import { countFlushes, lockShards, untilWaiting } from '../support/events.ts'
import { positionOfOutcome, startTestLog, type TestLog } from '../support/log.ts'
import { type LossyProxy, startProxy } from '../support/proxy.ts'
import { useDatabase } from '../support/server.ts'

// Invariant 1, both halves of a failed write: failed and not stored; failed but stored. A flush
// that was not acknowledged is in the log at most once; a retry with its key makes it exactly once.

const REFUSED = { kind: 'unavailable', reason: 'database' } as const

const database = useDatabase()
let proxy: LossyProxy
let log: TestLog

beforeAll(async () => {
  proxy = await startProxy(database.address)
  log = await startTestLog({ ...database, address: proxy.address })
  await log.change({ api_keys: [{ id: 1, group_id: 0, name: null }] })
})

afterAll(async () => {
  await log.stop()
  await proxy.close()
})

const flush = (key: string) => log.flush(1, 1, { key })
const isReplayed = (outcome: AppendOutcome) => outcome.kind === 'appended' && outcome.replayed

/** Retries while the database is unavailable, as a client does. */
async function retryFlush(key: string): Promise<AppendOutcome> {
  let outcome = await flush(key)
  for (let tries = 1; outcome.kind === 'unavailable' && tries < 10; tries++) {
    outcome = await flush(key)
  }
  return outcome
}

/** Expects the retry to count once in total; returns whether it was a replay. */
async function expectRetryCountsOnce(key: string, flushes: number): Promise<boolean> {
  const retry = await retryFlush(key)
  expect(retry).toMatchObject({ kind: 'appended', answer: { updated: 1, groups_updated: 0 } })
  expect(await countFlushes(database.owner)).toBe(flushes + 1)
  expect(positionOfOutcome(await flush(key))).toBe(positionOfOutcome(retry))
  expect(await countFlushes(database.owner)).toBe(flushes + 1)
  return isReplayed(retry)
}

for (const round of [1, 2, 3]) {
  test(`stored, but the answer is lost: refused, and the retry is a replay (${round})`, async () => {
    const flushes = await countFlushes(database.owner)
    const cut = proxy.cut('after commit', 'append_batch')
    expect(await flush(`after-${round}`)).toEqual(REFUSED)
    await cut
    expect(await countFlushes(database.owner)).toBe(flushes + 1)
    expect(await expectRetryCountsOnce(`after-${round}`, flushes)).toBe(true)
  })

  test(`cut before it is stored: refused, not stored, and the retry counts (${round})`, async () => {
    const flushes = await countFlushes(database.owner)
    const cut = proxy.cut('before', 'append_batch')
    expect(await flush(`before-${round}`)).toEqual(REFUSED)
    await cut
    expect(await countFlushes(database.owner)).toBe(flushes)
    expect(await expectRetryCountsOnce(`before-${round}`, flushes)).toBe(false)
  })
}

test('a whole batch whose answer is lost is stored once after its retries', async () => {
  const flushes = await countFlushes(database.owner)
  const keys = Array.from({ length: 30 }, (_, i) => `batch-${i}`)
  const cut = proxy.cut('after commit', 'append_batch')
  const tries = await Promise.all(keys.map(flush))
  await cut
  expect(tries).toContainEqual(REFUSED)
  const retries = await Promise.all(keys.map(retryFlush))
  expect(new Set(retries.map(positionOfOutcome)).size).toBe(keys.length)
  expect(await countFlushes(database.owner)).toBe(flushes + keys.length)
})

test('a connection terminated while the append waits: refused, and nothing is stored', async () => {
  const flushes = await countFlushes(database.owner)
  const lock = await lockShards(database)
  try {
    const outcome = flush('ended')
    const [pid] = await untilWaiting(database.owner, 1)
    await database.owner`select pg_terminate_backend(${pid!}::integer)`
    expect(await outcome).toEqual(REFUSED)
  } finally {
    await lock.release()
  }
  expect(await countFlushes(database.owner)).toBe(flushes)
  expect(await expectRetryCountsOnce('ended', flushes)).toBe(false)
})
