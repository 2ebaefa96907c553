/** Length (ms) of the buckets of a page. In UTC only months vary. */
const BUCKET_MS = { hour: 3_600_000, day: 86_400_000 } as const
/** How a page divides usage. */
export type Bucket = keyof typeof BUCKET_MS | 'month'

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

/** Returns the months that contain some days. */
export function toMonths({ from, to }: UsageRange): UsageRange {
  const bucket = 'month'
  return { bucket, from: startOfMonth(from), to: startOfBucket({ bucket, from: to - 1 }, 1) }
}

/** Returns the newest buckets of a range, so many at most. */
export function newestOf(range: UsageRange, most: number): UsageRange {
  const count = countBuckets(range)
  return count <= most ? range : { ...range, from: startOfBucket(range, count - most) }
}

/** Returns the number of buckets of a range. */
export const countBuckets = (range: UsageRange) => indexOfBucket(range, range.to)

/** Returns the index of the bucket of a range that contains a time (ms). */
export function indexOfBucket({ bucket, from }: Omit<UsageRange, 'to'>, ms: number): number {
  if (bucket !== 'month') return Math.floor((ms - from) / BUCKET_MS[bucket])
  const [first, at] = [new Date(from), new Date(ms)]
  const years = at.getUTCFullYear() - first.getUTCFullYear()
  return years * 12 + at.getUTCMonth() - first.getUTCMonth()
}

/** Returns when a bucket of a range begins (ms), by its index. */
export function startOfBucket({ bucket, from }: Omit<UsageRange, 'to'>, index: number): number {
  if (bucket !== 'month') return from + index * BUCKET_MS[bucket]
  const first = new Date(from)
  return Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + index)
}

/** Splits a range into those of its pages. */
export function splitRange(range: UsageRange): UsageRange[] {
  const ranges: UsageRange[] = []
  for (let first = 0; first < countBuckets(range); first += MAX_BUCKETS) {
    const to = Math.min(startOfBucket(range, first + MAX_BUCKETS), range.to)
    ranges.push({ ...range, from: startOfBucket(range, first), to })
  }
  return ranges
}

/** Formats a bucket of a range by its index: `2026-01`, `2026-01-31`, or `2026-01-31T12:00Z`. */
export function formatBucket(range: UsageRange, index: number): string {
  const start = new Date(startOfBucket(range, index)).toISOString()
  if (range.bucket === 'hour') return `${start.slice(0, 16)}Z`
  return start.slice(0, range.bucket === 'day' ? 10 : 7)
}

const startOfMonth = (ms: number) => startOfBucket({ bucket: 'month', from: ms }, 0)
const startOfDay = (ms: number) => ms - (((ms % BUCKET_MS.day) + BUCKET_MS.day) % BUCKET_MS.day)
