/** A quarter hour of UTC, in milliseconds. */
const QUARTER_HOUR_MS = 900_000

/** Returns `2026-01-31T12:15:00+00:00` for `2026-01-31T12:29:59.999999+00:00`. */
export function startOfQuarterHour(recordedAt: string): string {
  const minute = Number(recordedAt.slice(14, 16))
  const quarter = String(minute - (minute % 15)).padStart(2, '0')
  return `${recordedAt.slice(0, 14)}${quarter}:00+00:00`
}

/**
 * Returns the start of the quarter hour that contains the last moment before a time: `12:00` for
 * `12:15:00.000000`. Before the year 1, which texts can't express, it is `-infinity`.
 */
export function quarterHourBefore(time: string): string {
  const start = startOfQuarterHour(time)
  if (time !== `${start.slice(0, 19)}.000000+00:00`) return start
  const before = new Date(Date.parse(start) - QUARTER_HOUR_MS).toISOString()
  return /^(?!0000)\d{4}-/.test(before) ? startOfQuarterHour(before) : '-infinity'
}

/** Tests for a time of the calendar as the log writes it: `2026-01-31T12:00:00.123456+00:00`. */
export const TIME = {
  test(text: string): boolean {
    // A database has no year 0.
    if (!/^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/.test(text)) return false
    const second = text.slice(0, 19)
    const time = Date.parse(`${second}Z`)
    return !Number.isNaN(time) && new Date(time).toISOString().startsWith(second)
  },
}

/**
 * Returns the time at which a flush counts in usage: `countedAt` (Unix seconds), if it has one and
 * that lies in another quarter hour than `recordedAt`; otherwise `recordedAt`.
 */
export function timeOfUsage(countedAt: number | undefined, recordedAt: string): string {
  if (countedAt === undefined) return recordedAt
  const time = `${new Date(countedAt * 1_000).toISOString().slice(0, 19)}.000000+00:00`
  return startOfQuarterHour(time) === startOfQuarterHour(recordedAt) ? recordedAt : time
}
