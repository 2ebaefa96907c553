import { zone } from './settings.ts'

/** What a datetime-local input says, in the reader's zone, in ms; null: nothing. */
export function readMoment(text: string): number | null {
  const at = Date.parse(zone.value === 'utc' ? `${text}Z` : text)
  return Number.isNaN(at) ? null : at
}

/** `2026-01-31T12:00:00Z`, to the second. */
export const toTimestamp = (at: number) => `${new Date(at).toISOString().slice(0, 19)}Z`
