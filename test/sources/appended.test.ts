import { expect, test } from 'bun:test'
import type { AppendedBatch } from '../../src/log/appender-options.ts'
import { Appended } from '../../src/sources/appended.ts'

// Flushes that this process has appended, until they are folded.

const AT = '2026-01-31T12:00:00.000000+00:00'

function batch(firstPosition: number, length: number): AppendedBatch {
  const all = <Value>(value: (i: number) => Value) => Array.from({ length }, (_, i) => value(i))
  return {
    ...{ firstPosition, recordedAt: AT },
    previous: firstPosition === 0 ? null : `${AT} hash ${firstPosition - 1}`,
    sources: all(() => 'dp'),
    payloadSha256s: all((i) => `hash ${firstPosition + i}`),
    events: all((i) => ({
      type: 'KeyStatsFlushed' as const,
      data: {
        ...{ hashes: ['k'], requests: [i], tokens: [1], last_accessed_at: [0] },
        quota_tracked: [false],
      },
    })),
  }
}

function appended(...batches: [first: number, length: number][]): Appended {
  const made = new Appended()
  for (const [first, length] of batches) made.add(batch(first, length))
  return made
}

const take = (from: Appended, after: number) => {
  const taken = from.take(after)
  const flushes = taken?.commits.map(({ changes }) => changes.map(({ keys }) => keys.flushes))
  return taken && [flushes!.flat(), taken.commits.at(-1)!.position, taken.last]
}

test('consecutive commits are taken together, in whatever order they came', () => {
  const made = appended([2, 3], [0, 2])
  expect(take(made, -1)).toEqual([[2, 3], 4, `${AT} hash 4`])
  expect(take(made, -1)).toBe(null)
})

test('what is after a gap waits until the gap is folded', () => {
  const made = appended([0, 2], [4, 2])
  expect(take(made, -1)).toEqual([[2], 1, `${AT} hash 1`])
  expect(take(made, 1)).toBe(null)
  expect(take(made, 3)).toEqual([[2], 5, `${AT} hash 5`])
})

test('what is folded is forgotten', () => {
  const made = appended([0, 2], [2, 3], [5, 1])
  expect(take(made, 4)).toEqual([[1], 5, `${AT} hash 5`])
  expect(made.length).toBe(0)
})

test('a commit of which a part is folded has to be read', () => {
  const made = appended([0, 2], [2, 3], [5, 1])
  expect(take(made, 2)).toBe(null)
  expect(made.length).toBe(0)
})

test('commits of two histories of the log are not joined', () => {
  // The log has lost positions 1 and 2, and others are there now.
  const made = appended([0, 3], [1, 1], [2, 3])
  expect(take(made, -1)).toBe(null)
  made.add(batch(5, 1))
  made.add({ ...batch(6, 1), previous: 'another' })
  expect(take(made, 4)).toBe(null)
  expect(made.length).toBe(0)
})

test('too many are forgotten', () => {
  const made = appended(
    ...Array.from({ length: 51 }, (_, i) => [i * 1_000, 1_000] as [number, number]),
  )
  expect(made.take(-1)).toBe(null)
  expect(take(made, 49_999)).toEqual([[1_000], 50_999, `${AT} hash 50999`])
})
