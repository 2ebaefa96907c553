import { expect, test } from 'bun:test'
import type { KeyHints } from '../../src/events/flush.ts'
import { FlushQueue, PendingFlush } from '../../src/log/queue.ts'

// The bounds of a shard's queue.

/** Returns a flush whose event has this many bytes. */
function flushOf(bytes: number, hints?: KeyHints): PendingFlush {
  const entries = { ids: [], requests: [], successes: [] }
  const posted = { type: 'ApiKeyStatsFlushed' as const, entries, ...(hints && { hints }) }
  const flush = new PendingFlush(posted, 'dp', null)
  flush.payload = 'x'.repeat(bytes)
  return flush
}

const ALL = { flushes: 100, bytes: 1_000 }

test('a queue is bounded in bytes, which count until their flushes are settled', () => {
  const queue = new FlushQueue({ flushes: 100, bytes: 10 })
  const [first, second, third] = [flushOf(6), flushOf(4), flushOf(1)]
  expect([first, second, third].map((flush) => queue.add(flush!))).toEqual([true, true, false])
  const batch = queue.take(ALL)
  expect(batch).toEqual([first!, second!])
  expect([queue.waiting, queue.length, queue.add(third!)]).toEqual([0, 2, false])
  queue.release(batch)
  expect([queue.add(third!), queue.length]).toEqual([true, 1])
})

test('how a flush describes its keys counts like its event', () => {
  const queue = new FlushQueue({ flushes: 100, bytes: 10 })
  const described = flushOf(1, { byEntry: new Map(), bytes: 9 })
  expect([queue.add(described), queue.add(flushOf(1))]).toEqual([true, false])
})

test('a queue is bounded in flushes', () => {
  const queue = new FlushQueue({ flushes: 2, bytes: 10 })
  expect([0, 0, 0].map((bytes) => queue.add(flushOf(bytes)))).toEqual([true, true, false])
})

test('a lone flush is accepted whatever its size, and is a batch of its own', () => {
  const queue = new FlushQueue({ flushes: 100, bytes: 10 })
  const large = flushOf(11)
  expect(queue.add(large)).toBe(true)
  expect(queue.add(flushOf(0))).toBe(false)
  expect(queue.take({ flushes: 100, bytes: 5 })).toEqual([large])
})

test('a batch has as many flushes as fit its bounds, in order of arrival', () => {
  const queue = new FlushQueue({ flushes: 100, bytes: 100 })
  const flushes = [3, 3, 3, 3].map((bytes) => flushOf(bytes))
  for (const flush of flushes) queue.add(flush)
  expect(queue.take({ flushes: 100, bytes: 6 })).toEqual(flushes.slice(0, 2))
  expect(queue.take({ flushes: 1, bytes: 100 })).toEqual(flushes.slice(2, 3))
  expect(queue.take(ALL)).toEqual(flushes.slice(3))
  expect(queue.take(ALL)).toEqual([])
})

test('each waiting flush is either late or stays for the next batch', () => {
  const queue = new FlushQueue({ flushes: 100, bytes: 100 })
  const flushes = Array.from({ length: 5 }, () => flushOf(1))
  const times = flushes.map(({ queuedAt }) => queuedAt)
  for (const through of [times[0]! - 1, ...times, times[4]! + 1]) {
    for (const flush of flushes) queue.add(flush)
    const late = queue.takeLate(through)
    expect(late).toEqual(flushes.filter(({ queuedAt }) => queuedAt <= through))
    const others = queue.take(ALL)
    expect([...late, ...others]).toEqual(flushes)
    queue.release([...late, ...others])
    expect([queue.waiting, queue.length]).toEqual([0, 0])
  }
})
