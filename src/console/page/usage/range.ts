import { zone } from '../settings.ts'
import { toTimestamp } from '../timestamp.ts'

export type Bucket = 'hour' | 'day'
/** The period of a chart: RFC 3339, half open, in whole quarter hours. */
export type Range = { name: string; from: string; to: string; bucket: Bucket }

const HOUR_MS = 3_600_000
const QUARTER_HOUR_MS = HOUR_MS / 4
const DAY_MS = 24 * HOUR_MS

/** The usual ranges, in days. */
export const RANGES = { '24h': 1, '7d': 7, '30d': 30, '90d': 90 } as const
export type RangeName = keyof typeof RANGES
/** Number of days from which hourly bars are too many. */
const MAX_HOURLY_DAYS = 8

/** Reads the range from a URL: one of RANGES, ending with the hour of `end` (ms), or any other. */
export function readRange(params: URLSearchParams, end: number): Range {
  const [from, to] = [Date.parse(params.get('from') ?? ''), Date.parse(params.get('to') ?? '')]
  const requested = params.get('bucket')
  if (from < to) {
    const bucket = requested === 'day' || requested === 'hour' ? requested : fitting(to - from)
    return { name: 'zoom', ...toTexts(from, to), bucket: bound(bucket, to - from) }
  }
  const given = params.get('range') ?? ''
  const name = Object.hasOwn(RANGES, given) ? (given as RangeName) : '24h'
  const days = RANGES[name]
  const bucket = requested === 'day' || requested === 'hour' ? requested : fitting(days * DAY_MS)
  const last = nextHour(end)
  const first = bucket === 'hour' ? last - days * DAY_MS : midnight(end, days - 1)
  return { name, ...toTexts(first, last), bucket }
}

/** Returns the range dragged in a chart: whole quarter hours, and at least one hour. */
export function toZoom(fromMs: number, toMs: number): { from: string; to: string } {
  const from = Math.floor(fromMs / QUARTER_HOUR_MS) * QUARTER_HOUR_MS
  const to = Math.ceil(toMs / QUARTER_HOUR_MS) * QUARTER_HOUR_MS
  return toTexts(from, Math.max(to, from + HOUR_MS))
}

/** Returns when the hours or days of a range begin (ms), and its end. */
export function boundsOf({ from, to, bucket }: Range): number[] {
  const end = Date.parse(to)
  const bounds: number[] = []
  for (let at = Date.parse(from); at < end; ) {
    bounds.push(at)
    at = bucket === 'hour' ? nextHour(at) : midnight(at, -1)
  }
  return [...bounds, end]
}

/** Returns the range with days instead of hours if it has more than `most` buckets. */
export const withAtMost = (most: number, range: Range): Range =>
  boundsOf(range).length > most + 1 ? { ...range, bucket: 'day' } : range

const fitting = (ms: number): Bucket => (ms < MAX_HOURLY_DAYS * DAY_MS ? 'hour' : 'day')

/** The service returns at most 10,000 buckets. */
const bound = (bucket: Bucket, ms: number): Bucket => (ms / HOUR_MS > 9_000 ? 'day' : bucket)

/** Returns the end of a time's hour in the user's zone: some zones are half an hour off. */
function nextHour(at: number): number {
  const aheadMs = zone.value === 'utc' ? 0 : -new Date(at).getTimezoneOffset() * 60_000
  return Math.ceil((at + aheadMs + 1) / HOUR_MS) * HOUR_MS - aheadMs
}

/** Returns when the day `daysBefore` days earlier began, in the user's zone. */
function midnight(at: number, daysBefore: number): number {
  const date = new Date(at)
  return zone.value === 'utc'
    ? Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate() - daysBefore)
    : new Date(date.getFullYear(), date.getMonth(), date.getDate() - daysBefore).getTime()
}

const toTexts = (from: number, to: number) => ({ from: toTimestamp(from), to: toTimestamp(to) })
