import { describe, expect, test } from 'bun:test'
import { INTERVALS } from '../../src/platform/intervals.ts'
import { countFlushes, lockShards } from '../support/events.ts'
import { keyOfShard } from '../support/keys.ts'
import { TEST_SHARDS } from '../support/server.ts'
import { useService } from '../support/service.ts'

// Invariant 1 when the log can't accept a flush: 503 with Retry-After, and nothing half done.

const FLUSH = '/internal/stats/flush'

const keyed = (key: string) => ({ 'idempotency-key': key })

async function expectUnavailable(response: Response): Promise<void> {
  expect(response.status).toBe(503)
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await response.json()).toMatchObject({ status: 503, error: 'log unavailable' })
}

describe('while another program holds the lock', () => {
  const service = useService({
    intervals: { database: { ...INTERVALS.database, lockTimeoutMs: 200 } },
  })

  test('a flush is answered 503 and never stored', async () => {
    const lock = await lockShards(service.database)
    try {
      // The lock is released only when all are answered.
      const attempts: Record<string, string>[] = [keyed('a'), keyed('b'), {}]
      // A concurrent second attempt shares the outcome of the first.
      const answers = await Promise.all(
        [...attempts, ...attempts].map((headers) => service.post(FLUSH, { keys: [] }, headers)),
      )
      for (const answer of answers) await expectUnavailable(answer)
    } finally {
      await lock.release()
    }
    // The next flush is the first in its shard: none of the others was stored.
    const { owner } = service.database
    for (let shard = 0; shard < service.shards; shard++) {
      const key = keyOfShard(shard, service.shards, 'later')
      const next = await service.post(FLUSH, { keys: [] }, keyed(key))
      expect(next.headers.get('tallybook-position')).toBe(`${shard}/0`)
    }
    await service.stop()
    expect(await countFlushes(owner)).toBe(service.shards)
  })
})

describe.skipIf(TEST_SHARDS === 1)("while one shard can't be appended to", () => {
  const service = useService({
    intervals: {
      database: { ...INTERVALS.database, lockTimeoutMs: 200 },
      log: { ...INTERVALS.log, cooldownMs: 60_000 },
    },
  })

  test('flushes without a key go to the other shards', async () => {
    const lock = await lockShards(service.database, [0])
    try {
      const key = keyed(keyOfShard(0, service.shards, 'unavailable'))
      await expectUnavailable(await service.post(FLUSH, { keys: [] }, key))
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => service.post(FLUSH, { keys: [] })),
      )
      for (const answer of answers) expect(answer.status).toBe(200)
    } finally {
      await lock.release()
    }
  })
})
