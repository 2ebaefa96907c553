/** Length of the stored usage buckets, in milliseconds: 15 minutes. */
const QUARTER_HOUR_MS = 900_000

/** Lengths where clocks don't change. Months differ: each is left to Temporal. */
const LENGTH_MS = { hour: 3_600_000, day: 86_400_000, month: Number.POSITIVE_INFINITY } as const

/** Buckets in one response: enough for more than a year of hours. */
const MAX_BUCKETS = 10_000

/** Nothing was recorded earlier, when some zones had offsets other than multiples of 15 minutes. */
const FIRST_YEAR = 2000

/** The units of time that usage can be divided into. */
export type BucketUnit = 'hour' | 'day' | 'month'

/** Length of a range without `from`. */
const DEFAULT_RANGE = { hour: { hours: 24 }, day: { days: 30 }, month: { months: 12 } } as const

export type BucketsRequest = {
  /** RFC 3339; null means 24 hours, 30 days or 12 months before `to`, depending on `bucket`. */
  from: string | null
  /** RFC 3339; null means the end of the hour, day or month that contains `now`. */
  to: string | null
  bucket: BucketUnit
  /** IANA time zone. */
  tz: string
  /** RFC 3339. */
  now: string
}

/** Thrown for an invalid range; the message is meant for people. */
export class BucketsError extends Error {
  override name = 'BucketsError'
}

type Moment = Temporal.ZonedDateTime

/**
 * Returns the bounds of the hours, days or months of a time zone in a range, in RFC 3339 with the
 * zone's offset. The first and last are the bounds of the range itself. Days on which the clocks
 * change are shorter or longer than 24 hours. Throws BucketsError.
 */
export function toBounds({ from, to, bucket, tz, now }: BucketsRequest): string[] {
  const end = to === null ? nextStart(toMoment(now, tz), bucket) : toMoment(to, tz)
  const start = from === null ? startBefore(end, bucket) : toMoment(from, tz)
  if (start.year < FIRST_YEAR) throw new BucketsError(`\`from\` is before the year ${FIRST_YEAR}.`)
  if (!isBefore(start, end)) throw new BucketsError('`from` must be before `to`.')
  if (!isQuarterHour(start) || !isQuarterHour(end)) throw notQuarterHours()
  return [...startsOf(start, end.epochMilliseconds, bucket), toText(end)]
}

/**
 * Returns `start` and the starts of all hours, days or months after it and before `endMs`. Between
 * two clock changes they are equally far apart, so Temporal is only used at the changes. A year of
 * hours takes 3 ms that way instead of 20 to 150 ms.
 */
function startsOf(start: Moment, endMs: number, bucket: BucketUnit): string[] {
  const lengthMs = LENGTH_MS[bucket]
  const texts: string[] = []
  let period = offsetPeriodAt(start)
  for (let at = start.epochMilliseconds; at < endMs; ) {
    if (texts.length >= MAX_BUCKETS) {
      throw new BucketsError(`The range has more than ${MAX_BUCKETS} buckets. Shorten it.`)
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

/** Returns the zone's UTC offset at a moment, and when it changes next. */
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
  new BucketsError("`from`, `to` and the zone's UTC offset must be multiples of 15 minutes.")

function toMoment(timestamp: string, tz: string): Moment {
  try {
    return Temporal.Instant.from(timestamp).toZonedDateTimeISO(tz)
  } catch {
    throw new BucketsError('`from`, `to` or `tz` is not a valid time or time zone.')
  }
}

/** Returns the start of the next hour, day or month in the zone. */
function nextStart(at: Moment, bucket: BucketUnit): Moment {
  if (bucket === 'day') return at.startOfDay().add({ days: 1 }).startOfDay()
  if (bucket === 'month') return startOfMonth(at).add({ months: 1 }).startOfDay()
  // If clocks change in the middle of an hour, that hour becomes two buckets.
  const whole = at.round({ smallestUnit: 'minute', roundingMode: 'floor' })
  return whole.add({ minutes: 60 - at.minute })
}

function startBefore(end: Moment, bucket: BucketUnit): Moment {
  const start = end.subtract(DEFAULT_RANGE[bucket])
  if (bucket === 'month') return startOfMonth(start)
  return bucket === 'day' ? start.startOfDay() : start
}

const startOfMonth = (at: Moment) => at.with({ day: 1 }).startOfDay()

const isBefore = (a: Moment, b: Moment) => Temporal.ZonedDateTime.compare(a, b) < 0

const isQuarterHour = ({ epochNanoseconds }: Moment) =>
  epochNanoseconds % (BigInt(QUARTER_HOUR_MS) * 1_000_000n) === 0n
