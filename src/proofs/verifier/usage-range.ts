/** Length (ms) of the buckets of a page. In UTC they never vary. */
export const BUCKET_MS = { hour: 3_600_000, day: 86_400_000 } as const
/** How a page divides usage. */
export type Bucket = keyof typeof BUCKET_MS

/** A half-open range of whole buckets, in milliseconds since 1970. */
export type UsageRange = { bucket: Bucket; from: number; to: number }

/** Maximum buckets of a page of usage, and the earliest start of usage. */
const MAX_BUCKETS = 10_000
export const FIRST_DAY = Date.UTC(2000, 0)

/**
 * Days compared before the first event: flushes may state that they were counted up to 35 days ago,
 * unless the service allows more. Pages show thirty days by default.
 */
const DAYS_BEFORE = 36

/** Over fifty years. A clock that was once wrong by millennia must not cost as many pages. */
const MAX_DAYS = 20_000

/**
 * Returns the days from 36 before the first of these times to one day after the last one, or
 * after now if that is later: the log grows while pages are read, and clocks differ.
 */
export function toDays(moments: readonly number[], now: number): UsageRange {
  const bucket = 'day'
  const [first, last] = moments.reduce(
    ([min, max], at) => [Math.min(min, at), Math.max(max, at)],
    [now, now],
  )
  const from = Math.max(startOfDay(first) - DAYS_BEFORE * BUCKET_MS.day, FIRST_DAY)
  const end = Math.max(startOfDay(last), from) + 2 * BUCKET_MS.day
  return { bucket, from, to: Math.min(end, from + MAX_DAYS * BUCKET_MS.day) }
}

/** Returns the number of buckets of a range. */
export const countBuckets = ({ bucket, from, to }: UsageRange) => (to - from) / BUCKET_MS[bucket]

/** Splits a range into those of its pages. */
export function splitRange({ bucket, from, to }: UsageRange): UsageRange[] {
  const step = MAX_BUCKETS * BUCKET_MS[bucket]
  const ranges: UsageRange[] = []
  for (let at = from; at < to; at += step) {
    ranges.push({ bucket, from: at, to: Math.min(at + step, to) })
  }
  return ranges
}

/** Formats a bucket of a range by its index: `2026-01-31`, or `2026-01-31T12:00Z`. */
export function formatBucket({ bucket, from }: UsageRange, index: number): string {
  const start = new Date(from + index * BUCKET_MS[bucket]).toISOString()
  return bucket === 'day' ? start.slice(0, 10) : `${start.slice(0, 16)}Z`
}

const startOfDay = (ms: number) => ms - (((ms % BUCKET_MS.day) + BUCKET_MS.day) % BUCKET_MS.day)
