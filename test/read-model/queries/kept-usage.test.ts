import { expect, test } from 'bun:test'
import {
  type Boundary,
  requireKept,
  requireKeptAt,
  requireQuarters,
  UsageNotKept,
} from '../../../src/read-model/queries/kept-usage.ts'

// What can be read of usage that is kept by days and months before times that differ between shards.

const KEPT: Boundary[] = [
  { shard: 2, grain: 'month', before: '2025-12-01T00:00:00.000000+00:00' },
  { shard: 0, grain: 'day', before: '2026-03-01T00:00:00.000000+00:00' },
  { shard: 2, grain: 'day', before: '2026-03-02T00:00:00.000000+00:00' },
]

test.each([
  [['2026-02-01T00:00:00Z', '2026-02-03T00:00:00Z'], true],
  [['2026-02-01T01:00:00+01:00', '2026-02-28T19:00:00-05:00'], true],
  [['2026-02-01T00:00:00Z', '2026-03-01T12:00:00Z'], false],
  [['2026-02-28T23:45:00Z', '2026-03-05T00:00:00Z'], false],
  [['2026-03-02T00:00:00Z', '2026-03-02T00:15:00Z'], true],
  [['2026-02-01T00:00:00+01:00', '2026-02-02T00:00:00+01:00'], false],
  [['2025-11-01T00:00:00Z', '2025-12-02T00:00:00Z'], true],
  [['2025-11-01T01:00:00+01:00', '2025-12-01T01:00:00+01:00'], true],
  [['2025-11-30T00:00:00Z', '2025-12-01T00:00:00Z'], false],
  [['2025-11-01T00:00:00+01:00', '2026-02-01T00:00:00+01:00'], false],
])('buckets with the bounds %p are sums of what is kept: %p', (bounds, isKept) => {
  const require = () => requireKept(KEPT, bounds)
  if (isKept) expect(require).not.toThrow()
  else expect(require).toThrow(UsageNotKept)
  expect(() => requireKept([], bounds)).not.toThrow()
})

test('usage can be read as of an event of a day that is kept by quarter hours', () => {
  expect(() => requireKeptAt(KEPT, 0, '2026-03-01T00:00:00.000001+00:00')).not.toThrow()
  expect(() => requireKeptAt(KEPT, 0, '2026-02-28T23:59:59.999999+00:00')).toThrow(UsageNotKept)
  expect(() => requireKeptAt(KEPT, 2, '2026-03-01T12:00:00.000000+00:00')).toThrow(UsageNotKept)
  expect(() => requireKeptAt(KEPT, 1, '2020-01-01T00:00:00.000000+00:00')).not.toThrow()
  // Before the first event of a shard that has days.
  expect(() => requireKeptAt(KEPT, 2, null)).toThrow(UsageNotKept)
  expect(() => requireKeptAt(KEPT, 1, null)).not.toThrow()
})

test('a quota period is read by quarter hours, wherever it begins', () => {
  expect(() => requireQuarters(KEPT, [{ start: '2026-03-02T00:00:00+00:00' }])).not.toThrow()
  expect(() => requireQuarters(KEPT, [{ start: '2026-03-01T00:00:00+00:00' }])).toThrow(
    UsageNotKept,
  )
  expect(() => requireQuarters(KEPT, [])).not.toThrow()
})
