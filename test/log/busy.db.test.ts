import { afterEach, beforeEach, expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import { countFlushes, lockShards, readPositions, untilWaiting } from '../support/events.ts'
import { TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// Invariant 1 when the log can't take a flush: 503 with Retry-After, and nothing half done.

const FLUSH = '/internal/stats/flush'

let service: TestService

beforeEach(async () => {
  service = await startTestService()
})

afterEach(() => service.end())

const keyed = (key: string) => ({ 'idempotency-key': key })

async function expectUnavailable(response: Response): Promise<void> {
  expect(response.status).toBe(503)
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await response.json()).toMatchObject({ status: 503, error: 'log unavailable' })
}

test('while a stranger holds the lock a flush is answered 503, and never stored', async () => {
  const lock = await lockShards(service.database)
  try {
    // Answered before the lock is released: that is what this test waits for.
    const tries: Record<string, string>[] = [keyed('a'), keyed('b'), {}]
    // A second try at the same instant as the first shares what becomes of it.
    const answers = await Promise.all(
      [...tries, ...tries].map((headers) => service.post(FLUSH, { keys: [] }, headers)),
    )
    for (const answer of answers) await expectUnavailable(answer)
  } finally {
    await lock.release()
  }
  // The next one is the first: none of those came in behind it.
  const { owner } = service.database
  for (let shard = 0; shard < service.shards; shard++) {
    const key = keyOfShard(shard, service.shards, 'later')
    const next = await service.post(FLUSH, { keys: [] }, keyed(key))
    expect(next.headers.get('tallybook-position')).toBe(`${shard}/0`)
  }
  await service.stop()
  expect(await countFlushes(owner)).toBe(service.shards)
})

test.skipIf(TEST_SHARDS === 1)(
  'flushes without a key go to other shards than one that can not be appended to',
  async () => {
    const lock = await lockShards(service.database, [0])
    try {
      const key = keyed(keyOfShard(0, service.shards, 'away'))
      await expectUnavailable(await service.post(FLUSH, { keys: [] }, key))
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => service.post(FLUSH, { keys: [] })),
      )
      for (const answer of answers) expect(answer.status).toBe(200)
    } finally {
      await lock.release()
    }
  },
)

test('a full queue answers 503; what is acknowledged is in the log exactly once', async () => {
  const { owner } = service.database
  // Seven bodies of nearly the largest size, all for one shard: more than its queue takes.
  const bodies = Array.from({ length: 7 }, (_, i) => {
    const key = keyOfShard(0, service.shards, `full-${i}`)
    const keys = [{ token_hash: 'x'.repeat(15 * 1024 * 1024), requests: i }]
    return { key, body: JSON.stringify({ keys }) }
  })
  const lock = await lockShards(service.database)
  let refusedWhileLocked = 0
  const answers = bodies.map(async ({ key, body }) => {
    const response = await service.post(FLUSH, body, keyed(key))
    if (response.status === 503) refusedWhileLocked++
    return { key, response }
  })
  await untilWaiting(owner, 1)
  while (refusedWhileLocked === 0) await Bun.sleep(5)
  await lock.release()

  const settled = await Promise.all(answers)
  const accepted = settled.filter(({ response }) => response.status === 200)
  const refused = settled.filter(({ response }) => response.status !== 200)
  expect(accepted.length).toBeGreaterThan(0)
  expect(refused.length).toBeGreaterThan(0)
  for (const { response } of refused) await expectUnavailable(response)
  expect(await readKeys()).toEqual(accepted.map(({ key }) => key).sort())

  // Room again: what was refused is taken now, and every key is there once.
  for (const { key, body } of bodies) {
    expect((await service.post(FLUSH, body, keyed(key))).status).toBe(200)
  }
  expect(await readKeys()).toEqual(bodies.map(({ key }) => key).sort())
  expect(await readPositions(owner, 0)).toEqual(bodies.map((_, i) => i))
})

const readKeys = async () =>
  (
    await service.database.owner<{ idempotency_key: string }[]>`
      select idempotency_key from events order by idempotency_key`
  ).map(({ idempotency_key }) => idempotency_key)

/** An idempotency key that leads to this shard, as DESIGN has it: hash(source, key) mod shards. */
function keyOfShard(shard: number, shards: number, name: string): string {
  for (let i = 0; ; i++) {
    const key = `${name}-${i}`
    const digest = hash('sha256', `dp\n${key}`, 'hex')
    if (Number.parseInt(digest.slice(0, 12), 16) % shards === shard) return key
  }
}
