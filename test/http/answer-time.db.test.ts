import { expect, test } from 'bun:test'
import { INTERVALS } from '../../src/platform/intervals.ts'
import { countFlushes, lockShards } from '../support/events.ts'
import { keyOfShard } from '../support/keys.ts'
import { useService } from '../support/service.ts'

// A flush is answered within a bounded time, however much is before it.

const ANSWER_MS = 3_000
const service = useService({
  intervals: {
    database: { ...INTERVALS.database, lockTimeoutMs: 60_000 },
    log: { ...INTERVALS.log, answerWithinMs: ANSWER_MS },
  },
})

test('flushes behind a batch that is not answered wait no longer than it does, and each counts once all the same', async () => {
  const post = (i: number) => {
    const key = keyOfShard(0, service.shards, `behind-${i}`)
    return service.post('/internal/stats/flush', { keys: [] }, { 'idempotency-key': key })
  }
  const postAll = () => Promise.all(Array.from({ length: 200 }, (_, i) => post(i)))
  const lock = await lockShards(service.database, [0])
  try {
    // Of this thread as well: however late it is, what is due before comes before. One batch after
    // the other, each given as long, would take three times as long as one.
    // The second sleep begins when this thread has gone on, had it been held up for long.
    const marker = Bun.sleep(2 * ANSWER_MS)
      .then(() => Bun.sleep(ANSWER_MS / 2))
      .then(() => null)
    const answers = await Promise.race([postAll(), marker])
    for (const { status } of answers!) expect(status).toBe(503)
  } finally {
    await lock.release()
  }
  // The batch that was given up may be in the log by now.
  for (const { status } of await postAll()) expect(status).toBe(200)
  expect(await countFlushes(service.database.owner)).toBe(200)
})
