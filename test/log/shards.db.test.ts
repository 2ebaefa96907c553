import { expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import type { AppendOutcome } from '../../src/log/queue.ts'
import { positionOfOutcome, type TestLog, useLogs } from '../support/log.ts'
import { TEST_SHARDS } from '../support/server.ts'

// The shard that a flush goes to.

const [one, other] = useLogs(2) as [TestLog, TestLog]

const shardOf = (outcome: AppendOutcome) => Number(positionOfOutcome(outcome).split('/')[0])

test('flushes of a lone client go to all shards in turn', async () => {
  const shards: number[] = []
  for (let i = 0; i < 2 * TEST_SHARDS; i++) {
    shards.push(shardOf(await one.flush(1, 1)))
    // A client's next request arrives in a later turn, when the queue is empty again.
    await Bun.sleep(0)
  }
  const turn = Array.from({ length: TEST_SHARDS }, (_, shard) => shard)
  expect(shards).toEqual([...turn, ...turn])
})

test('a flush with a key goes to the shard of its hash, on every instance', async () => {
  const shards = new Set<number>()
  for (let i = 0; i < 25; i++) {
    const key = `flush-${i}`
    const first = await one.flush(1, 1, { key })
    const digest = createHash('sha256').update(`dp\n${key}`).digest('hex')
    expect(shardOf(first)).toBe(Number(BigInt(`0x${digest.slice(0, 12)}`) % BigInt(TEST_SHARDS)))
    shards.add(shardOf(first))
    expect(await other.flush(1, 1, { key })).toEqual({ ...first, replayed: true } as AppendOutcome)
  }
  expect(shards.size).toBe(TEST_SHARDS)
})

test('concurrent flushes through two instances are appended once each', async () => {
  const outcomes = await Promise.all(
    Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? one : other).flush(2, 1)),
  )
  expect(new Set(outcomes.map(positionOfOutcome)).size).toBe(60)
  if (TEST_SHARDS > 1) expect(new Set(outcomes.map(shardOf)).size).toBeGreaterThan(1)
  const [row] = await one.database.owner<{ stored: number }[]>`
    select count(*)::integer as stored from events where payload->'ids'->>0 = '2'`
  expect(row!.stored).toBe(60)
})
