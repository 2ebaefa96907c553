import { expect, test } from 'bun:test'
import {
  countBuckets,
  formatBucket,
  newestOf,
  splitRange,
  toDays,
  toMonths,
} from '../../../src/proofs/verifier/usage-range.ts'

const at = (...texts: string[]) => texts.map((text) => Date.parse(text))
const NOW = Date.parse('2026-03-01T23:59:59Z')

/** Returns the first day and the one after the last. */
const daysOf = (...texts: string[]) => {
  const { from, to } = toDays(at(...texts), NOW)
  return [from, to].map((ms) => new Date(ms).toISOString().slice(0, 10))
}

test('days go from 36 before the first event to one after the last event or today', () => {
  expect(daysOf()).toEqual(['2026-01-24', '2026-03-03'])
  expect(daysOf('2026-01-31T12:00:00Z', '2026-02-01T00:00:00Z')).toEqual([
    '2025-12-26',
    '2026-03-03',
  ])
  expect(daysOf('2027-01-01T00:00:00Z', '2026-01-31T00:00:00Z')).toEqual([
    '2025-12-26',
    '2027-01-03',
  ])
})

test('events with extreme times cause a bounded number of pages', () => {
  expect(daysOf('1970-01-01T00:00:00Z', '1969-01-01T00:00:01Z')).toEqual([
    '2000-01-01',
    '2026-03-03',
  ])
  const days = toDays(at('2026-01-31T12:00:00Z', '9999-12-31T23:59:59Z'), NOW)
  expect(countBuckets(days)).toBe(20_000)
  expect(countBuckets(toDays([], Date.parse('1970-01-01')))).toBe(2)
})

test('a range is split into pages of 10,000 without gaps', () => {
  const days = toDays(at('2000-01-01T00:00:00Z', '9999-12-31T23:59:59Z'), NOW)
  for (const range of [days, { ...days, bucket: 'hour' as const }]) {
    const pages = splitRange(range)
    expect(pages.map(countBuckets).slice(0, -1)).toEqual(pages.slice(1).map(() => 10_000))
    expect(pages.reduce((sum, page) => sum + countBuckets(page), 0)).toBe(countBuckets(range))
    expect([pages[0]!.from, pages.at(-1)!.to]).toEqual([range.from, range.to])
  }
})

test('buckets are named by their start', () => {
  const days = toDays(at('2026-02-06T12:00:00Z'), NOW)
  expect([0, 31].map((i) => formatBucket(days, i))).toEqual(['2026-01-01', '2026-02-01'])
  expect(formatBucket({ ...days, bucket: 'hour' }, 25)).toBe('2026-01-02T01:00Z')
})

test('months contain all days, and are counted and named by the calendar', () => {
  const months = toMonths(toDays(at('2025-12-20T12:00:00Z'), NOW))
  const texts = [months.from, months.to].map((ms) => new Date(ms).toISOString().slice(0, 10))
  expect(texts).toEqual(['2025-11-01', '2026-04-01'])
  expect(countBuckets(months)).toBe(5)
  expect([0, 2, 4].map((i) => formatBucket(months, i))).toEqual(['2025-11', '2026-01', '2026-03'])
  expect(splitRange(months)).toEqual([months])
  expect(newestOf(months, 5)).toEqual(months)
  expect(newestOf(months, 2)).toEqual({ ...months, from: Date.UTC(2026, 1) })
})
