import { describe, expect, test } from 'bun:test'
import { BucketsError, type BucketsRequest, toBounds } from '../../src/http/usage/buckets.ts'

const bounds = (request: Partial<BucketsRequest>) =>
  toBounds({
    ...{ from: null, to: null, bucket: 'hour', tz: 'UTC', now: '2026-06-01T12:34:56.789Z' },
    ...request,
  })

/** Returns the length of each bucket in minutes. */
function minutes(edges: string[]): number[] {
  return edges.slice(1).map((to, i) => (Date.parse(to) - Date.parse(edges[i]!)) / 60_000)
}

/** Returns the length in hours of the local day `day`. */
const hoursOfDay = (tz: string, day: string) => {
  const from = Temporal.PlainDate.from(day).toZonedDateTime(tz).toInstant().toString()
  const to = Temporal.PlainDate.from(day)
    .add({ days: 1 })
    .toZonedDateTime(tz)
    .toInstant()
    .toString()
  return minutes(bounds({ from, to, bucket: 'hour', tz })).reduce((sum, m) => sum + m, 0) / 60
}

describe('a day has the number of hours that the clock changes of its zone leave', () => {
  test.each([
    ['Europe/Berlin', '2026-03-29', 23],
    ['Europe/Berlin', '2026-10-25', 25],
    ['America/New_York', '2026-11-01', 25],
    ['Australia/Lord_Howe', '2026-04-05', 24.5],
    ['America/Havana', '2026-11-01', 25],
    ['Africa/Cairo', '2026-04-24', 23],
    ['Asia/Kathmandu', '2026-03-29', 24],
  ])('%s %s: %d', (tz, day, hours) => {
    expect(hoursOfDay(tz, day)).toBe(hours)
    const [from, to] = bounds({
      from: Temporal.PlainDate.from(day).toZonedDateTime(tz).toInstant().toString(),
      to: Temporal.PlainDate.from(day).add({ days: 1 }).toZonedDateTime(tz).toInstant().toString(),
      ...{ bucket: 'day', tz },
    })
    expect(minutes([from!, to!])).toEqual([hours * 60])
  })
})

test('months begin and end by the calendar of the zone', () => {
  const range = { from: '2026-02-10T00:00:00Z', to: '2026-05-01T00:00:00Z' }
  expect(bounds({ ...range, bucket: 'month' })).toEqual([
    '2026-02-10T00:00:00+00:00',
    '2026-03-01T00:00:00+00:00',
    '2026-04-01T00:00:00+00:00',
    '2026-05-01T00:00:00+00:00',
  ])
  const local = bounds({ ...range, bucket: 'month', tz: 'Europe/Berlin' })
  expect(local.slice(1)).toEqual([
    '2026-03-01T00:00:00+01:00',
    '2026-04-01T00:00:00+02:00',
    '2026-05-01T00:00:00+02:00',
    '2026-05-01T02:00:00+02:00',
  ])
  const year = bounds({ bucket: 'month', tz: 'Europe/Berlin' })
  expect([year.length, year[0], year[12]]).toEqual([
    13,
    '2025-07-01T00:00:00+02:00',
    '2026-07-01T00:00:00+02:00',
  ])
})

test('an hour in which the clocks change is two buckets', () => {
  const hours = { from: '2026-04-04T14:00:00Z', to: '2026-04-04T16:30:00Z' }
  const found = bounds({ ...hours, tz: 'Australia/Lord_Howe' })
  expect(found).toEqual([
    '2026-04-05T01:00:00+11:00',
    '2026-04-05T01:30:00+10:30',
    '2026-04-05T02:00:00+10:30',
    '2026-04-05T03:00:00+10:30',
  ])
})

test('the first and the last bucket end at the bounds of the range', () => {
  expect(bounds({ from: '2026-06-01T10:45:00Z', to: '2026-06-01T13:15:00Z' })).toEqual([
    '2026-06-01T10:45:00+00:00',
    '2026-06-01T11:00:00+00:00',
    '2026-06-01T12:00:00+00:00',
    '2026-06-01T13:00:00+00:00',
    '2026-06-01T13:15:00+00:00',
  ])
})

test('the default range is the last 24 hours or 30 days, including the current one', () => {
  const hours = bounds({})
  expect([hours.length, hours[0], hours.at(-1)]).toEqual([
    ...[25, '2026-05-31T13:00:00+00:00', '2026-06-01T13:00:00+00:00'],
  ])
  const days = bounds({ bucket: 'day', tz: 'Asia/Kolkata' })
  expect([days.length, days[0], days.at(-1)]).toEqual([
    ...[31, '2026-05-03T00:00:00+05:30', '2026-06-02T00:00:00+05:30'],
  ])
})

test.each<Partial<BucketsRequest>>([
  { from: '2026-06-01T10:07:00Z' },
  { to: '2026-06-01T10:00:00.001Z' },
  { to: '2026-06-01T10:00:00.000000001Z' },
  { from: '2026-06-01T10:00:00Z', to: '2026-06-01T10:00:00Z' },
  { from: '2026-06-02T10:00:00Z', to: '2026-06-01T10:00:00Z' },
  { from: '1999-06-02T10:00:00Z' },
  { from: '2001-06-02T10:00:00Z' },
  { tz: 'Mars/Olympus' },
  { tz: '+05:07', bucket: 'day' },
])('%j is refused', (request) => {
  expect(() => bounds(request)).toThrow(BucketsError)
  expect(() => bounds(request)).toThrowErrorMatchingSnapshot()
})
