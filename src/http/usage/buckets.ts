/** Milliseconds: usage is kept by the quarter of an hour. */
const QUARTER_MS = 900_000

/** More than a year of hours. */
const MAX_BUCKETS = 10_000

/** Nothing was recorded before, and some zones weren't whole quarters away from UTC. */
const FIRST_YEAR = 2000

/** How long a range is that was asked for without its beginning. */
const DEFAULT_RANGE = { hour: { hours: 24 }, day: { days: 30 } } as const

export type BucketsRequest = {
  /** RFC 3339; null: 24 hours or 30 days before `to`. */
  from: string | null
  /** RFC 3339; null: the end of the hour or day that `now` is in. */
  to: string | null
  bucket: 'hour' | 'day'
  /** IANA time zone. */
  tz: string
  /** RFC 3339. */
  now: string
}

/** Why there are no such buckets, for people. */
export class BucketsError extends Error {
  override name = 'BucketsError'
}

type Moment = Temporal.ZonedDateTime

/**
 * The bounds of the hours or days of a time zone in a range, with the range's own as first and
 * last: RFC 3339 with the zone's offset. A day has 23, 24 or 25 hours, or whatever the zone's
 * clocks make of it. Throws BucketsError.
 */
export function toBounds({ from, to, bucket, tz, now }: BucketsRequest): string[] {
  const end = to === null ? nextStart(toMoment(now, tz), bucket) : toMoment(to, tz)
  const start = from === null ? startBefore(end, bucket) : toMoment(from, tz)
  if (start.year < FIRST_YEAR) throw new BucketsError(`from is before the year ${FIRST_YEAR}.`)
  if (!isBefore(start, end)) throw new BucketsError('from is not before to.')
  const bounds = [start]
  for (let at = nextStart(start, bucket); isBefore(at, end); at = nextStart(at, bucket)) {
    if (bounds.length >= MAX_BUCKETS) {
      throw new BucketsError(`There are more than ${MAX_BUCKETS} buckets from there to there.`)
    }
    bounds.push(at)
  }
  bounds.push(end)
  if (!bounds.every(isQuarter)) {
    throw new BucketsError('from, to and the zone have to be whole quarters of an hour.')
  }
  return bounds.map((bound) => bound.toString({ timeZoneName: 'never', smallestUnit: 'second' }))
}

function toMoment(timestamp: string, tz: string): Moment {
  try {
    return Temporal.Instant.from(timestamp).toZonedDateTimeISO(tz)
  } catch {
    throw new BucketsError('There is no such time or time zone.')
  }
}

/** The beginning of the next hour or day of the zone. */
function nextStart(at: Moment, bucket: 'hour' | 'day'): Moment {
  if (bucket === 'day') return at.startOfDay().add({ days: 1 }).startOfDay()
  // Where clocks go back or forth amid an hour, that hour is two buckets.
  const whole = at.round({ smallestUnit: 'minute', roundingMode: 'floor' })
  return whole.add({ minutes: 60 - at.minute })
}

function startBefore(end: Moment, bucket: 'hour' | 'day'): Moment {
  const start = end.subtract(DEFAULT_RANGE[bucket])
  return bucket === 'day' ? start.startOfDay() : start
}

const isBefore = (a: Moment, b: Moment) => Temporal.ZonedDateTime.compare(a, b) < 0

const isQuarter = ({ epochNanoseconds }: Moment) =>
  epochNanoseconds % (BigInt(QUARTER_MS) * 1_000_000n) === 0n
