import { expect, test } from 'bun:test'
import { joinChanges, MAX_RECENT, type SourceFlush, toChange } from '../../src/sources/change.ts'

const flush = (i: number, more: Partial<SourceFlush> = {}): SourceFlush => ({
  ...{ type: 'ApiKeyStatsFlushed', source: 'dp', recordedAt: `2026-01-31T12:00:${10 + i}Z` },
  ...{ requests: 2, seconds: 1, sequence: null },
  ...more,
})

test('changes are joined by source, and stay as they are', () => {
  const changes = [
    toChange(flush(0)),
    toChange(flush(1, { source: 'other' })),
    toChange(flush(2, { type: 'KeyStatsFlushed', sequence: 'e/0;last' })),
  ]
  const before = structuredClone(changes)
  const [dp, other] = joinChanges(changes)
  expect(dp).toMatchObject({
    ...{ source: 'dp', isEnded: true },
    apiKeys: { flushes: 1, requests: 2, seconds: 1 },
    keys: { flushes: 1, requests: 2, seconds: 1 },
    recent: ['2026-01-31T12:00:10Z', '2026-01-31T12:00:12Z'],
    sequences: [{ sequence: { epoch: 'e', first: 0, last: 0 }, at: '2026-01-31T12:00:12Z' }],
  })
  expect(other).toMatchObject({ source: 'other', isEnded: false, keys: { flushes: 0 } })
  expect(changes).toEqual(before)
})

test('the newest times are kept, and sums are exact', () => {
  const most = Number.MAX_SAFE_INTEGER
  const changes = Array.from({ length: 40 }, (_, i) => toChange(flush(i, { requests: most })))
  const [joined] = joinChanges([...joinChanges(changes.slice(0, 30)), ...changes.slice(30)])
  expect(joined!.recent).toHaveLength(MAX_RECENT)
  expect(joined!.recent.at(-1)).toBe('2026-01-31T12:00:49Z')
  expect(joined!.apiKeys).toEqual({ flushes: 40, requests: 40n * BigInt(most), seconds: 40 })
})
