import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { zone } from '../../src/console/page/settings.ts'
import { readTimestamp, toTimestamp } from '../../src/console/page/timestamp.ts'
import { boundsOf, readRange, toZoom, withAtMost } from '../../src/console/page/usage/range.ts'
import { toBounds } from '../../src/http/usage/buckets.ts'
import { isFull } from '../support/full.ts'

// Ranges of a chart in UTC and in the local time zone, across clock changes.

const TZ = process.env.TZ
beforeEach(() => {
  zone.value = 'utc'
})
afterEach(() => {
  if (TZ === undefined) delete process.env.TZ
  else process.env.TZ = TZ
})

const liveIn = (tz: string) => {
  process.env.TZ = tz
  zone.value = 'local'
}
const range = (search: string, end = '2026-03-29T12:20:00Z') =>
  readRange(new URLSearchParams(search), Date.parse(end))

describe('named ranges', () => {
  test('end with the current hour, and begin the given number of days before', () => {
    expect(range('')).toEqual({
      ...{ name: '24h', bucket: 'hour' },
      ...{ from: '2026-03-28T13:00:00Z', to: '2026-03-29T13:00:00Z' },
    })
    expect(range('range=7d')).toMatchObject({ from: '2026-03-22T13:00:00Z', bucket: 'hour' })
    expect(range('range=30d')).toMatchObject({ from: '2026-02-28T00:00:00Z', bucket: 'day' })
    expect(range('range=90d')).toMatchObject({ from: '2025-12-30T00:00:00Z', bucket: 'day' })
  })

  test('include the hour that begins exactly now', () => {
    expect(range('', '2026-03-29T12:00:00Z').to).toBe('2026-03-29T13:00:00Z')
    expect(range('', '2026-03-29T11:59:59.999Z').to).toBe('2026-03-29T12:00:00Z')
  })

  test('have hourly or daily bars as requested', () => {
    expect(range('range=7d&bucket=day')).toMatchObject({
      ...{ from: '2026-03-23T00:00:00Z', bucket: 'day' },
    })
    expect(range('range=30d&bucket=hour')).toMatchObject({
      ...{ from: '2026-02-27T13:00:00Z', bucket: 'hour' },
    })
    expect(range('bucket=week').bucket).toBe('hour')
  })

  test.each(['toString', '__proto__', 'constructor', '1y', ''])(
    'do not include %p, which means the default range',
    (name) => {
      expect(range(`range=${name}`)).toEqual(range(''))
    },
  )

  test('begin with a local day, also across a clock change', () => {
    liveIn('Europe/Berlin')
    // 23 March is in winter time; 29 March has 23 hours.
    expect(range('range=7d&bucket=day')).toMatchObject({
      ...{ from: '2026-03-22T23:00:00Z', to: '2026-03-29T13:00:00Z' },
    })
    expect(range('bucket=day', '2026-03-29T23:00:00Z').from).toBe('2026-03-29T22:00:00Z')
    expect(range('bucket=day', '2026-10-25T22:59:00Z').from).toBe('2026-10-24T22:00:00Z')
  })

  test('end with a local hour in zones that are not whole hours off UTC', () => {
    liveIn('Asia/Kolkata')
    expect(range('').to).toBe('2026-03-29T12:30:00Z')
    liveIn('Asia/Kathmandu')
    expect(range('').to).toBe('2026-03-29T13:15:00Z')
    liveIn('America/St_Johns')
    expect(range('').to).toBe('2026-03-29T12:30:00Z')
  })

  /** Step in hours, chosen so that every time of day is tested. */
  const step = isFull ? 5.5 : 35.5
  test.each(['Europe/Berlin', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'America/Havana', 'UTC'])(
    'have bounds that the service accepts, throughout a year in %s',
    (tz) => {
      liveIn(tz)
      for (let at = Date.UTC(2026, 0, 1); at < Date.UTC(2027, 0, 1); at += 3_600_000 * step) {
        const { from, to, bucket } = readRange(new URLSearchParams('range=7d'), at)
        const bounds = toBounds({ from, to, bucket, tz, now: to })
        expect(Date.parse(bounds.at(-1)!)).toBeGreaterThan(at)
        expect(bounds.length).toBeGreaterThanOrEqual(169)
        expect(bounds.length).toBeLessThanOrEqual(171)
      }
    },
  )
})

describe('a zoom', () => {
  test('is the half-open range in the URL, with hourly bars unless they are too many', () => {
    const zoomed = (from: string, to: string, rest = '') => range(`from=${from}&to=${to}${rest}`)
    expect(zoomed('2026-01-01T00:15:00Z', '2026-01-02T00:00:00Z')).toEqual({
      ...{ name: 'zoom', bucket: 'hour' },
      ...{ from: '2026-01-01T00:15:00Z', to: '2026-01-02T00:00:00Z' },
    })
    expect(zoomed('2026-01-01T00:00:00Z', '2026-01-09T00:00:00Z').bucket).toBe('day')
    expect(zoomed('2026-01-01T00:00:00Z', '2026-01-09T00:00:00Z', '&bucket=hour').bucket).toBe(
      'hour',
    )
    // The service would refuse so many bars.
    expect(zoomed('2024-01-01T00:00:00Z', '2026-01-01T00:00:00Z', '&bucket=hour').bucket).toBe(
      'day',
    )
  })

  test.each([
    ['2026-01-02T00:00:00Z', '2026-01-01T00:00:00Z'],
    ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z'],
    ['x', '2026-01-01T00:00:00Z'],
    ['2026-01-01T00:00:00Z', ''],
  ])('from %p to %p is ignored', (from, to) => {
    expect(range(`from=${from}&to=${to}`)).toEqual(range(''))
  })

  test('covers the selection in whole 15-minute buckets, an hour at least', () => {
    const at = (text: string) => Date.parse(`2026-01-01T${text}Z`)
    expect(toZoom(at('10:07:00'), at('13:01:00'))).toEqual({
      ...{ from: '2026-01-01T10:00:00Z', to: '2026-01-01T13:15:00Z' },
    })
    expect(toZoom(at('10:20:00'), at('10:21:00'))).toEqual({
      ...{ from: '2026-01-01T10:15:00Z', to: '2026-01-01T11:15:00Z' },
    })
  })
})

describe('the bounds of bars', () => {
  test.each([
    ['UTC', '2026-03-27T00:15:00Z', '2026-03-30T12:00:00Z'],
    ['Europe/Berlin', '2026-03-27T23:00:00Z', '2026-03-30T12:30:00Z'],
    ['America/Sao_Paulo', '2018-11-02T12:00:00Z', '2018-11-06T03:00:00Z'],
    ['Asia/Kathmandu', '2026-03-27T00:00:00Z', '2026-03-30T12:45:00Z'],
  ])('in %s are those of the service', (tz, from, to) => {
    liveIn(tz)
    for (const bucket of ['hour', 'day'] as const) {
      const expected = toBounds({ from, to, bucket, tz, now: to }).map((at) => Date.parse(at))
      expect(boundsOf({ name: 'zoom', from, to, bucket })).toEqual(expected)
    }
  })

  test('are of days if there are too many hours', () => {
    const hours = { ...range('range=30d&bucket=hour') }
    expect(boundsOf(hours)).toHaveLength(721)
    expect(withAtMost(720, hours)).toBe(hours)
    expect(withAtMost(719, hours)).toEqual({ ...hours, bucket: 'day' })
  })
})

describe('a typed timestamp', () => {
  test('is in UTC or in the local time zone', () => {
    expect(readTimestamp('2026-07-01T12:00')).toBe(Date.UTC(2026, 6, 1, 12))
    expect(readTimestamp('2026-07-01T12:00:30')).toBe(Date.UTC(2026, 6, 1, 12, 0, 30))
    liveIn('Europe/Berlin')
    expect(readTimestamp('2026-07-01T12:00')).toBe(Date.UTC(2026, 6, 1, 10))
    expect(readTimestamp('2026-01-01T12:00')).toBe(Date.UTC(2026, 0, 1, 11))
  })

  test('is accepted also if clocks skip it or show it twice', () => {
    liveIn('Europe/Berlin')
    for (const text of ['2026-03-29T02:30', '2026-10-25T02:30']) {
      const at = readTimestamp(text)!
      const midnight = Date.parse(`${text.slice(0, 10)}T00:00:00Z`)
      expect(Math.abs(at - midnight - 3_600_000)).toBeLessThanOrEqual(1_800_000)
    }
  })

  test.each(['', 'x', '2026-13-01T00:00', '2026-01-01T25:00'])('%p is invalid', (text) => {
    expect(readTimestamp(text)).toBeNull()
    liveIn('Europe/Berlin')
    expect(readTimestamp(text)).toBeNull()
  })

  test('is written to the second', () => {
    expect(toTimestamp(Date.UTC(2026, 0, 31, 12) + 999)).toBe('2026-01-31T12:00:00Z')
  })
})
