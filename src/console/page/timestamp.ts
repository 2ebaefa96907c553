import { zone } from './settings.ts'

/** Returns the time (ms) of a datetime-local input in the user's zone, or null if it has none. */
export function readTimestamp(text: string): number | null {
  const at = Date.parse(zone.value === 'utc' ? `${text}Z` : text)
  return Number.isNaN(at) ? null : at
}

/** Formats `2026-01-31T12:00:00Z`, to the second. */
export const toTimestamp = (at: number) => `${new Date(at).toISOString().slice(0, 19)}Z`
