import { expect, test } from 'bun:test'
import pino from 'pino'
import type { StoredEvent } from '../../src/events/event.ts'
import { identityOf } from '../../src/log/read.ts'
import { TailBuffer } from '../../src/subscriptions/tail-buffer.ts'
import { TailBuffers } from '../../src/subscriptions/tail-buffers.ts'
import { until } from '../support/until.ts'

// The bounds of a tail buffer.

const MIB = 1024 * 1024

/** Returns the tail of one of `shards` shards; every event of its log has this payload. */
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

/** Returns the positions that it holds, newest first. */
function positionsOf(tail: TailBuffer): number[] {
  const positions: number[] = []
  for (let position = tail.head; ; position--) {
    const line = tail.lineAfter(position - 1)
    if (typeof line === 'string') return positions
    positions.push(line.position)
  }
}

test('above 32 MiB a tail drops its oldest lines down to three quarters of that', async () => {
  const tail = openTail(`"${'x'.repeat(5 * MIB)}"`)
  await tail.advance(-1)
  await tail.advance(5)
  expect(positionsOf(tail)).toEqual([5, 4, 3, 2, 1, 0])
  await tail.advance(6)
  expect(positionsOf(tail)).toEqual([6, 5, 4, 3])
  expect(tail.lineAfter(1)).toBe('evicted')
})

test('all shards share the bound in bytes, and the newest line is always held', async () => {
  const tail = openTail(`"${'x'.repeat(5 * MIB)}"`, 16)
  await tail.advance(-1)
  await tail.advance(3)
  expect(positionsOf(tail)).toEqual([3])
})

test('above 8,192 lines a tail drops its oldest lines down to three quarters of that', async () => {
  const tail = openTail('{}')
  await tail.advance(-1)
  await tail.advance(8_191)
  expect(positionsOf(tail)).toHaveLength(8_192)
  await tail.advance(8_192)
  expect(positionsOf(tail)).toHaveLength(6_144)
  expect(positionsOf(tail)[0]).toBe(8_192)
})

test('a tail that is cleared during a read begins again at once, and that read adds nothing', async () => {
  const identified: ((identity: string | null) => void)[] = []
  const tail = new TailBuffer({
    ...{ shard: 0, shards: 1, onGrown: () => {}, onLost: () => {} },
    identify: () => new Promise((resolve) => identified.push(resolve)),
    read: async () => [],
  })
  const first = tail.advance(5)
  tail.clear()
  const second = tail.advance(7)
  expect(tail.head).toBe(7)
  identified[0]!('of the first')
  await first
  expect(tail.head).toBe(7)
  identified[1]!('of the second')
  await second
  expect(tail.head).toBe(7)
})

/** Tails of one shard with a subscriber; each poll reads the head that is given it. */
function subscribe() {
  const reads: ((head: number) => void)[] = []
  const tails = new TailBuffers({
    ...{ shards: 1, pollIntervalMs: 1, logger: pino({ level: 'silent' }) },
    ...{ identify: async () => null, read: async () => [] },
    readHeads: () => new Promise((resolve) => reads.push((head) => resolve([head]))),
  })
  let position = 5
  let isLost = false
  tails.subscribe({
    ...{ shard: 0, positionIn: () => position, wake: () => {}, keepAlive: () => {} },
    lose: () => {
      isLost = true
    },
  })
  return {
    nextRead: (number: number) => until(() => reads[number - 1] ?? null),
    moveTo: (to: number) => {
      position = to
    },
    isLost: () => isLost,
  }
}

test('a subscriber that goes on while a head is read has lost nothing', async () => {
  const { nextRead, moveTo, isLost } = subscribe()
  const first = await nextRead(1)
  moveTo(6)
  first(5)
  await nextRead(2)
  expect(isLost()).toBe(false)
})

test('a subscriber that is ahead of a head read later ends', async () => {
  const { nextRead, isLost } = subscribe()
  const first = await nextRead(1)
  first(4)
  await until(isLost)
})
