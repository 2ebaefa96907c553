import { quarterHourOf } from './fold.ts'

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
