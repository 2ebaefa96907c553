/** Milliseconds of what usage is shown by; in UTC all of them are as long. */
export const BUCKET_MS = { hour: 3_600_000, day: 86_400_000 } as const
export type Bucket = keyof typeof BUCKET_MS

/** Half open, in milliseconds since 1970, of whole buckets. */
export type UsageRange = { bucket: Bucket; from: number; to: number }

/** Buckets that a page of usage has at most, and where usage begins at the earliest. */
const MAX_BUCKETS = 10_000
export const FIRST_DAY = Date.UTC(2000, 0)

/** Days before the first event, which have no usage: a page shows thirty unless it is told more. */
const DAYS_BEFORE = 30

/** Fifty years: a clock that was once wrong by thousands must not cost as many pages. */
const MAX_DAYS = 20_000

/**
 * The days from thirty before the first of these moments to the last one, or to now if that is
 * later, and one more: the log grows while pages are read, and clocks differ.
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

export const countBuckets = ({ bucket, from, to }: UsageRange) => (to - from) / BUCKET_MS[bucket]

/** The ranges of the pages that it takes to show a range. */
export function splitRange({ bucket, from, to }: UsageRange): UsageRange[] {
  const step = MAX_BUCKETS * BUCKET_MS[bucket]
  const ranges: UsageRange[] = []
  for (let at = from; at < to; at += step) {
    ranges.push({ bucket, from: at, to: Math.min(at + step, to) })
  }
  return ranges
}

/** A bucket of a range by its number: `2026-01-31`, or `2026-01-31T12:00Z`. */
export function formatBucket({ bucket, from }: UsageRange, index: number): string {
  const start = new Date(from + index * BUCKET_MS[bucket]).toISOString()
  return bucket === 'day' ? start.slice(0, 10) : `${start.slice(0, 16)}Z`
}

const startOfDay = (ms: number) => ms - (((ms % BUCKET_MS.day) + BUCKET_MS.day) % BUCKET_MS.day)
