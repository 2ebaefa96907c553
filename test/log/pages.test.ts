import { expect, test } from 'bun:test'
import type { StoredEvent } from '../../src/events/event.ts'
import { ShardCursor } from '../../src/log/subscriptions/shard-cursor.ts'

const LIMITS = { rows: 100, bytes: 1024 * 1024 }

const eventAt = (position: number): StoredEvent => ({
  ...{ shard: 0, position, type: 'KeyStatsFlushed', version: 1, source: 'dp' },
  ...{ recordedAt: '2026-01-01T00:00:00.000000+00:00', idempotencyKey: null },
  ...{ payload: '{}', payloadBytes: 2, payloadSha256: '' },
})

/** Takes all lines that are there; gives their positions. */
function takeAll(pages: ShardCursor): number[] {
  const positions: number[] = []
  for (let line = pages.first; line !== undefined; line = pages.first) {
    positions.push(line.position)
    pages.take()
  }
  return positions
}

test('a page that is asked for again before it is there comes once', async () => {
  const asked: ((events: StoredEvent[]) => void)[] = []
  const read = () => new Promise<StoredEvent[]>((resolve) => asked.push(resolve))
  const pages = new ShardCursor(0, -1, read, LIMITS)
  const first = pages.fill(2)
  const second = pages.fill(2)
  for (const answer of asked.toReversed()) {
    answer([0, 1, 2].map(eventAt))
    await Bun.sleep(0)
    // Nothing comes twice, whichever answer is the last.
    if (pages.first !== undefined) expect(takeAll(pages)).toEqual([0, 1, 2])
  }
  await Promise.all([first, second])
  expect(pages.first).toBeUndefined()
  expect([pages.position, asked.length]).toEqual([2, 1])
})

test('a page that could not be read is read by the next try', async () => {
  let tries = 0
  const read = async () => {
    if (tries++ === 0) throw new Error('away')
    return [eventAt(0)]
  }
  const pages = new ShardCursor(0, -1, read, LIMITS)
  await expect(pages.fill(0)).rejects.toThrow('away')
  await pages.fill(0)
  expect(takeAll(pages)).toEqual([0])
})
