import { expect, test } from 'bun:test'
import type { StoredEvent } from '../../src/events/event.ts'
import { identityOf } from '../../src/log/read.ts'
import { TailBuffer } from '../../src/log/subscriptions/tail-buffer.ts'

// How much a tail holds.

const MIB = 1024 * 1024

/** A tail of one of so many shards, whose log has events with this payload at all positions. */
function openTail(payload: string, shards = 1): TailBuffer {
  const eventAt = (position: number): StoredEvent => ({
    ...{ shard: 0, position, type: 'KeyStatsFlushed', version: 1, source: 'dp' },
    ...{ recordedAt: '2026-01-01T00:00:00.000000+00:00', idempotencyKey: null },
    ...{ payload, payloadBytes: payload.length, payloadSha256: '' },
  })
  return new TailBuffer({
    ...{ shard: 0, shards, onGrown: () => {}, onLost: () => {} },
    identify: async (_, position) => (position < 0 ? null : identityOf(eventAt(position))),
    read: async ({ after }) => [eventAt((after ?? -1) + 1)],
  })
}

/** The positions that it holds, from the newest down. */
function positionsOf(tail: TailBuffer): number[] {
  const positions: number[] = []
  for (let position = tail.head; ; position--) {
    const line = tail.lineAfter(position - 1)
    if (typeof line === 'string') return positions
    positions.push(line.position)
  }
}

test('above 32 MiB a tail drops the oldest, until it holds three quarters of that', async () => {
  const tail = openTail(`"${'x'.repeat(5 * MIB)}"`)
  await tail.advance(-1)
  await tail.advance(5)
  expect(positionsOf(tail)).toEqual([5, 4, 3, 2, 1, 0])
  await tail.advance(6)
  expect(positionsOf(tail)).toEqual([6, 5, 4, 3])
  expect(tail.lineAfter(1)).toBe('evicted')
})

test('the bound in bytes is shared by all shards; the newest is held, however large it is', async () => {
  const tail = openTail(`"${'x'.repeat(5 * MIB)}"`, 16)
  await tail.advance(-1)
  await tail.advance(3)
  expect(positionsOf(tail)).toEqual([3])
})

test('above 8,192 lines a tail drops the oldest, down to three quarters of them', async () => {
  const tail = openTail('{}')
  await tail.advance(-1)
  await tail.advance(8_191)
  expect(positionsOf(tail)).toHaveLength(8_192)
  await tail.advance(8_192)
  expect(positionsOf(tail)).toHaveLength(6_144)
  expect(positionsOf(tail)[0]).toBe(8_192)
})
