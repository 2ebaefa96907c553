import { afterEach, describe, expect, test } from 'bun:test'
import {
  formatBytes,
  formatCount,
  formatCountOf,
  formatDuration,
  formatRate,
  formatShare,
  formatTime,
  nameOf,
  zoneName,
} from '../../src/console/page/format.ts'
import { zone } from '../../src/console/page/settings.ts'

// Texts of the console in English; overview.db.test.ts tests another locale.

const TZ = process.env.TZ
afterEach(() => {
  zone.value = 'utc'
  if (TZ === undefined) delete process.env.TZ
  else process.env.TZ = TZ
})

describe('counts', () => {
  test('are written with all their digits, also above 2^53', () => {
    expect(formatCount(0)).toBe('0')
    expect(formatCount(1_234_567)).toBe('1,234,567')
    expect(formatCount(9_007_199_254_740_993n)).toBe('9,007,199,254,740,993')
    expect(formatCount(123_456_789_012_345_678_901_234_567_890n)).toBe(
      '123,456,789,012,345,678,901,234,567,890',
    )
  })

  test.each([
    [0, '0 events'],
    [1, '1 event'],
    [1n, '1 event'],
    [2, '2 events'],
    [1_001, '1,001 events'],
    [9_007_199_254_740_993n, '9,007,199,254,740,993 events'],
  ])('%p is %p', (count, text) => {
    expect(formatCountOf(count, 'event')).toBe(text)
  })

  test('use an irregular plural if one is given', () => {
    expect(formatCountOf(1, 'hash', 'hashes')).toBe('1 hash')
    expect(formatCountOf(3, 'row was', 'rows were')).toBe('3 rows were')
  })
})

test.each([
  [0, '0%'],
  [1, '100%'],
  [0.5, '50.00%'],
  [0.97, '97.00%'],
  [0.9888735186149986, '98.89%'],
  // Only exactly 0 and 1 are written as 0% and 100%.
  [0.99999, '>99.99%'],
  [1 - Number.EPSILON, '>99.99%'],
  [0.00001, '<0.01%'],
  [Number.MIN_VALUE, '<0.01%'],
  [0.0001, '0.01%'],
  [0.9999, '99.99%'],
])('the rate %p is written as %p', (rate, text) => {
  expect(formatRate(rate)).toBe(text)
})

test.each([
  [0, '0%'],
  [0.9, '90%'],
  [1, '100%'],
  [0.9999, '>99%'],
  [0.0001, '<1%'],
  [1.0001, '101%'],
  [44.83, '4,483%'],
])('the share %p is written as %p', (share, text) => {
  expect(formatShare(share)).toBe(text)
})

test.each([
  [0, '0 byte'],
  [999, '999 byte'],
  [1_000, '1 kB'],
  [1_500_000_000, '1.5 GB'],
  // Not 1,000 kB.
  [999_999, '1 MB'],
  [2e18, '2,000 PB'],
])('%p bytes are written as %p', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})

test.each([
  [0, '0 ms'],
  [0.35, '350 ms'],
  [1, '1 s'],
  [119, '119 s'],
  [180, '3 min'],
  [18_000, '5 h'],
  [172_800, '2 d'],
])('%p seconds are written as %p', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text)
})

describe('times', () => {
  /** The hour that occurs twice in Berlin when clocks go back. */
  const twice = ['2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z']

  test('are in UTC or in the time zone of the browser, also when clocks change', () => {
    process.env.TZ = 'Europe/Berlin'
    expect(zoneName()).toBe('UTC')
    expect(twice.map((at) => formatTime(at, 'clock'))).toEqual(['12:30 AM', '1:30 AM'])
    zone.value = 'local'
    expect(zoneName()).toBe('Europe/Berlin')
    expect(twice.map((at) => formatTime(at, 'clock'))).toEqual(['2:30 AM', '2:30 AM'])
    expect(formatTime('2026-03-28T23:30:00Z', 'day')).toBe('Mar 29, 2026')
  })

  test('that are invalid are written as they are', () => {
    expect(formatTime('yesterday')).toBe('yesterday')
    expect(formatTime(Number.NaN)).toBe('NaN')
  })
})

test('an entity without a name is called by its external id, or by its id', () => {
  expect(nameOf({ name: 'openai', external_id: 'gw', id: 1 })).toBe('openai')
  expect(nameOf({ name: null, external_id: 'gw', id: 7 })).toBe('gw')
  expect(nameOf({ name: null, external_id: null, id: 7 })).toBe('#7')
})
