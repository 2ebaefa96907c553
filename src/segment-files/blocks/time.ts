import { TIME } from '../../events/instant.ts'

/**
 * Returns a time of the log in microseconds since 1970, or null if it has none: before 1970, or
 * after the year 2255, when they are no longer exact numbers.
 */
export function toMicroseconds(recordedAt: string): number | null {
  if (!TIME.test(recordedAt)) return null
  const at = Date.parse(`${recordedAt.slice(0, 23)}Z`) * 1_000 + Number(recordedAt.slice(23, 26))
  return at >= 0 && Number.isSafeInteger(at) ? at : null
}

/** Returns the time as the log writes it: `2026-01-31T12:00:00.123456+00:00`. */
export function fromMicroseconds(at: number): string {
  const ms = Math.floor(at / 1_000)
  const micros = String(at - ms * 1_000).padStart(3, '0')
  return `${new Date(ms).toISOString().slice(0, -1)}${micros}+00:00`
}
