/**
 * Returns the start of the 15-minute bucket of a time: `2026-01-31T12:15:00.000000+00:00` for
 * `2026-01-31T12:29:59.999999+00:00`.
 */
export function quarterHourOf(time: string): string {
  const minute = Number(time.slice(14, 16))
  const start = String(Math.floor(minute / 15) * 15).padStart(2, '0')
  return `${time.slice(0, 14)}${start}:00.000000+00:00`
}

/**
 * Returns the time at which a flush counts in usage. That is when it was counted (Unix seconds), if
 * it says so and that is in another bucket than the time when it was recorded.
 */
export function usageTimeOf(countedAt: number | undefined, recordedAt: string): string {
  if (countedAt === undefined) return recordedAt
  const second = new Date(countedAt * 1_000).toISOString().slice(0, -'.000Z'.length)
  const time = `${second}.000000+00:00`
  return quarterHourOf(time) === quarterHourOf(recordedAt) ? recordedAt : time
}
