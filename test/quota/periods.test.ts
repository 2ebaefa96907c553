import { describe, expect, test } from 'bun:test'
import { findTimeZone, periodAt } from '../../src/quota/periods.ts'

// When the quota period that contains a moment begins and ends.

const boundsAt = (period: 'day' | 'week' | 'month', tz: string, now: string) => {
  const { start, end } = periodAt(period, tz, Date.parse(now))
  return [start, end].map((time) => time.replace(':00+00:00', ''))
}

describe('a period', () => {
  test.each([
    ['day', 'UTC', '2026-11-29T19:00:00Z', '2026-11-29T00:00', '2026-11-30T00:00'],
    ['day', 'UTC', '2026-11-29T00:00:00Z', '2026-11-29T00:00', '2026-11-30T00:00'],
    ['day', 'UTC', '2026-11-28T23:59:59.999Z', '2026-11-28T00:00', '2026-11-29T00:00'],
    ['week', 'UTC', '2026-11-29T19:00:00Z', '2026-11-23T00:00', '2026-11-30T00:00'],
    ['week', 'UTC', '2026-11-30T00:00:00Z', '2026-11-30T00:00', '2026-12-07T00:00'],
    ['month', 'UTC', '2026-11-29T19:00:00Z', '2026-11-01T00:00', '2026-12-01T00:00'],
    ['month', 'UTC', '2026-12-31T23:59:59Z', '2026-12-01T00:00', '2027-01-01T00:00'],
    ['month', 'UTC', '2028-02-29T12:00:00Z', '2028-02-01T00:00', '2028-03-01T00:00'],
    ['day', 'UTC', '2028-02-29T12:00:00Z', '2028-02-29T00:00', '2028-03-01T00:00'],
    // East and west of UTC.
    ['day', 'Pacific/Kiritimati', '2026-11-29T19:00:00Z', '2026-11-29T10:00', '2026-11-30T10:00'],
    ['month', 'Pacific/Kiritimati', '2026-11-30T11:00:00Z', '2026-11-30T10:00', '2026-12-31T10:00'],
    ['day', 'Pacific/Pago_Pago', '2026-11-29T05:00:00Z', '2026-11-28T11:00', '2026-11-29T11:00'],
    ['week', 'Asia/Kathmandu', '2026-11-29T19:00:00Z', '2026-11-29T18:15', '2026-12-06T18:15'],
    // Clocks change: in Berlin at 02:00 and 03:00, in Santiago at midnight.
    ['day', 'Europe/Berlin', '2026-03-29T12:00:00Z', '2026-03-28T23:00', '2026-03-29T22:00'],
    ['day', 'Europe/Berlin', '2026-10-25T12:00:00Z', '2026-10-24T22:00', '2026-10-25T23:00'],
    ['week', 'Europe/Berlin', '2026-10-25T12:00:00Z', '2026-10-18T22:00', '2026-10-25T23:00'],
    ['month', 'Europe/Berlin', '2026-10-25T12:00:00Z', '2026-09-30T22:00', '2026-10-31T23:00'],
    ['day', 'America/Santiago', '2026-09-06T12:00:00Z', '2026-09-06T04:00', '2026-09-07T03:00'],
    ['day', 'America/Santiago', '2026-04-05T03:30:00Z', '2026-04-04T03:00', '2026-04-05T04:00'],
    // Samoa had no 30 December 2011.
    ['day', 'Pacific/Apia', '2011-12-30T09:00:00Z', '2011-12-29T10:00', '2011-12-30T10:00'],
    ['day', 'Pacific/Apia', '2011-12-30T11:00:00Z', '2011-12-30T10:00', '2011-12-31T10:00'],
    // St. John's went back over midnight, at 00:01: the day that had begun goes on.
    ['day', 'America/St_Johns', '2010-11-07T02:45:00Z', '2010-11-07T02:30', '2010-11-08T03:30'],
    // Monrovia was 44 minutes and 30 seconds behind: rounded down to quarter hours.
    ['day', 'Africa/Monrovia', '1971-01-15T12:00:00Z', '1971-01-15T00:30', '1971-01-16T00:30'],
    ['day', 'Africa/Monrovia', '1971-01-15T00:31:00Z', '1971-01-15T00:30', '1971-01-16T00:30'],
  ] as const)('%s in %s at %s', (period, tz, now, start, end) => {
    expect(boundsAt(period, tz, now)).toEqual([start, end])
  })

  test('in a zone that this system does not know is one of UTC', () => {
    expect(boundsAt('day', 'Mars/Olympus', '2026-11-29T19:00:00Z')).toEqual([
      ...['2026-11-29T00:00', '2026-11-30T00:00'],
    ])
  })
})

test('a time zone is found by its name in any case, and is no offset', () => {
  expect(['europe/berlin', 'Etc/GMT+5', 'utc'].map(findTimeZone)).toEqual([
    ...['Europe/Berlin', 'Etc/GMT+5', 'UTC'],
  ])
  const none = [
    '',
    '+01:00',
    'Z',
    'Nope/Berlin',
    'UTC\0',
    '2026-01-01[Europe/Berlin]',
    'a'.repeat(65),
  ]
  expect(none.map(findTimeZone)).toEqual(none.map(() => null))
})
