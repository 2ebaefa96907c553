import { expect, test } from 'bun:test'
import { INTERVALS } from '../../src/platform/intervals.ts'
import { countFlushes, lockShards } from '../support/events.ts'
import { keyOfShard } from '../support/keys.ts'
import { useService } from '../support/service.ts'
import { until } from '../support/until.ts'

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
  const answered: number[] = []
  const lock = await lockShards(service.database, [0])
  try {
    const posted = Array.from({ length: 200 }, async (_, i) => {
      const { status } = await post(i)
      answered.push(performance.now())
      expect(status).toBe(503)
    })
    await Promise.all(posted)
    // There are three batches at least. If each timed out after the previous one, the last would be
    // answered so long after the first, however late all of them are.
    expect(answered.at(-1)! - answered[0]!).toBeLessThan(2 * ANSWER_MS)
  } finally {
    await lock.release()
  }
  // The abandoned batch may be in the log by now. A busy machine may need longer for the retries.
  const retry = async (i: number) => {
    const { status } = await until(async () => {
      const response = await post(i)
      return response.status !== 503 && response
    })
    expect(status).toBe(200)
  }
  await Promise.all(Array.from({ length: 200 }, (_, i) => retry(i)))
  expect(await countFlushes(service.database.owner)).toBe(200)
})
