import { expect, test } from 'bun:test'
import type { StoredEvent } from '../../src/events/event.ts'
import { ShardCursor } from '../../src/subscriptions/shard-cursor.ts'

const LIMITS = { rows: 100, bytes: 1024 * 1024 }

const eventAt = (position: number): StoredEvent => ({
  ...{ shard: 0, position, type: 'KeyStatsFlushed', version: 1, source: 'dp' },
  ...{ recordedAt: '2026-01-01T00:00:00.000000+00:00', idempotencyKey: null },
  ...{ payload: '{}', payloadBytes: 2, payloadSha256: '' },
})

/** Takes all buffered lines; returns their positions. */
function takeAll(cursor: ShardCursor): number[] {
  const positions: number[] = []
  for (let line = cursor.first; line !== undefined; line = cursor.first) {
    positions.push(line.position)
    cursor.take()
  }
  return positions
}

test('a page requested again before it arrives is delivered once', async () => {
  const pending: ((events: StoredEvent[]) => void)[] = []
  const read = () => new Promise<StoredEvent[]>((resolve) => pending.push(resolve))
  const cursor = new ShardCursor(0, -1, read, LIMITS)
  const first = cursor.fill(2)
  const second = cursor.fill(2)
  for (const answer of pending.toReversed()) {
    answer([0, 1, 2].map(eventAt))
    await Bun.sleep(0)
    // Nothing is delivered twice, whichever answer comes last.
    if (cursor.first !== undefined) expect(takeAll(cursor)).toEqual([0, 1, 2])
  }
  await Promise.all([first, second])
  expect(cursor.first).toBeUndefined()
  expect([cursor.position, pending.length]).toEqual([2, 1])
})

test('a page that failed to be read is read by the next attempt', async () => {
  let tries = 0
  const read = async () => {
    if (tries++ === 0) throw new Error('unavailable')
    return [eventAt(0)]
  }
  const cursor = new ShardCursor(0, -1, read, LIMITS)
  await expect(cursor.fill(0)).rejects.toThrow('unavailable')
  await cursor.fill(0)
  expect(takeAll(cursor)).toEqual([0])
})
