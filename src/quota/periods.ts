import type { QuotaPeriod } from '../events/catalog-change.ts'

/** The zone of a key that names none. */
export const DEFAULT_ZONE = 'UTC'

/** When a period begins, and when the next one does: RFC 3339 in UTC, whole quarter hours. */
export type Bounds = { start: string; end: string }

/** Length of the stored usage buckets, in milliseconds. */
const QUARTER_HOUR_MS = 900_000

/**
 * Returns the name of an IANA time zone as the database of zones spells it, or null if it has no
 * such zone. Offsets such as `+01:00` are no zones.
 */
export function findTimeZone(name: string): string | null {
  if (!/^[a-z][a-z0-9_+/-]{0,63}$/i.test(name)) return null
  try {
    return Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name).timeZoneId
  } catch {
    return null
  }
}

/**
 * Returns the period that contains a moment (milliseconds since 1970): from the start of a day in
 * the zone to the start of the day that begins the next period. A day begins at its first moment,
 * also where clocks skip midnight.
 *
 * Usage is stored by quarter hours of UTC. Every zone is a whole number of them from UTC today; the
 * bounds of a zone that once was not are rounded down. A zone that this system does not know (a
 * newer one may have recorded it) counts as UTC.
 */
export function periodAt(period: QuotaPeriod, tz: string, nowMs: number): Bounds {
  const zone = findTimeZone(tz) ?? DEFAULT_ZONE
  const today = Temporal.Instant.fromEpochMilliseconds(nowMs).toZonedDateTimeISO(zone)
  let first = firstDay(period, today.toPlainDate())
  let startMs = beginningOf(first, zone)
  for (;;) {
    const next = first.add(LENGTHS[period])
    const endMs = beginningOf(next, zone)
    // Clocks that were set back over midnight return to a day that is over.
    if (endMs > nowMs) return { start: toText(startMs), end: toText(endMs) }
    first = next
    startMs = endMs
  }
}

const LENGTHS = { day: { days: 1 }, week: { weeks: 1 }, month: { months: 1 } } as const

function firstDay(period: QuotaPeriod, day: Temporal.PlainDate): Temporal.PlainDate {
  switch (period) {
    case 'day':
      return day
    case 'week':
      return day.subtract({ days: day.dayOfWeek - 1 })
    case 'month':
      return day.with({ day: 1 })
    default:
      return period satisfies never
  }
}

function beginningOf(day: Temporal.PlainDate, timeZone: string): number {
  const ms = day.toZonedDateTime({ timeZone }).epochMilliseconds
  return Math.floor(ms / QUARTER_HOUR_MS) * QUARTER_HOUR_MS
}

const toText = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}+00:00`
