/** Milliseconds: usage is kept by the quarter of an hour. */
const QUARTER_HOUR_MS = 900_000

const LENGTH_MS = { hour: 3_600_000, day: 86_400_000 } as const

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
  if (!isQuarterHour(start) || !isQuarterHour(end)) throw notQuarterHours()
  return [...startsOf(start, end.epochMilliseconds, bucket), toText(end)]
}

/**
 * `start`, and the beginnings of hours or days after it and before `endMs`. Between two changes of
 * the zone's clocks they are equally far apart: Temporal is asked about the changes only, which
 * makes a year of hours 3 ms where it took 20 to 150.
 */
function startsOf(start: Moment, endMs: number, bucket: 'hour' | 'day'): string[] {
  const lengthMs = LENGTH_MS[bucket]
  const texts: string[] = []
  let period = offsetPeriodAt(start)
  for (let at = start.epochMilliseconds; at < endMs; ) {
    if (texts.length >= MAX_BUCKETS) {
      throw new BucketsError(`There are more than ${MAX_BUCKETS} buckets from there to there.`)
    }
    if (at % QUARTER_HOUR_MS !== 0) throw notQuarterHours()
    const local = at + period.offsetMs
    texts.push(`${new Date(local).toISOString().slice(0, 19)}${period.offset}`)
    let next = at + lengthMs - (local % lengthMs)
    if (next >= period.endMs) {
      const moment = nextStart(momentAt(at, start.timeZoneId), bucket)
      next = moment.epochMilliseconds
      period = offsetPeriodAt(moment)
    }
    at = next
  }
  return texts
}

/** How a zone's clocks stand to UTC from a moment on, until they are changed. */
function offsetPeriodAt(moment: Moment) {
  const { offset, offsetNanoseconds } = moment
  const change = moment.getTimeZoneTransition('next')
  return {
    ...{ offset, offsetMs: offsetNanoseconds / 1e6 },
    endMs: change?.epochMilliseconds ?? Number.POSITIVE_INFINITY,
  }
}

const momentAt = (ms: number, tz: string): Moment =>
  Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(tz)

const toText = (moment: Moment) =>
  moment.toString({ timeZoneName: 'never', smallestUnit: 'second' })

const notQuarterHours = () =>
  new BucketsError('from, to and the zone have to be whole quarters of an hour.')

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

const isQuarterHour = ({ epochNanoseconds }: Moment) =>
  epochNanoseconds % (BigInt(QUARTER_HOUR_MS) * 1_000_000n) === 0n
