import { expect, test } from 'bun:test'
import { INTERVALS } from '../../src/platform/intervals.ts'
import { countFlushes, lockShards } from '../support/events.ts'
import { keyOfShard } from '../support/keys.ts'
import { useService } from '../support/service.ts'

// A flush is answered within a bounded time, however many are queued before it.

const ANSWER_MS = 3_000
const service = useService({
  intervals: {
    database: { ...INTERVALS.database, lockTimeoutMs: 60_000 },
    log: { ...INTERVALS.log, answerWithinMs: ANSWER_MS },
  },
})

test('flushes queued behind a hung batch get 503 with it, and count once if retried', async () => {
  const post = (i: number) => {
    const key = keyOfShard(0, service.shards, `behind-${i}`)
    return service.post('/internal/stats/flush', { keys: [] }, { 'idempotency-key': key })
  }
  const postAll = () => Promise.all(Array.from({ length: 200 }, (_, i) => post(i)))
  const lock = await lockShards(service.database, [0])
  try {
    // A timer of this thread too: however late it is, timers that are due before fire before.
    // Batches that each time out after the previous one would take three times as long as one. The
    // second sleep begins once this thread continues, if it was blocked for long.
    const marker = Bun.sleep(2 * ANSWER_MS)
      .then(() => Bun.sleep(ANSWER_MS / 2))
      .then(() => null)
    const answers = await Promise.race([postAll(), marker])
    for (const { status } of answers!) expect(status).toBe(503)
  } finally {
    await lock.release()
  }
  // The abandoned batch may be in the log by now.
  for (const { status } of await postAll()) expect(status).toBe(200)
  expect(await countFlushes(service.database.owner)).toBe(200)
})
