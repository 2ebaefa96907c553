const MINUTE = 60
const HOUR = 60 * MINUTE

/** Seconds after each failed attempt until the next one: about a day in all. */
const DELAYS = [
  ...[5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE],
  ...[HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 8 * HOUR],
]

/** The part of a delay by which it is shorter or longer at random: many are not due at once. */
const JITTER = 0.2

/**
 * Returns the seconds from the failure of an attempt (1 is the first) to the next one, or null if
 * there is none. `random` is from 0 to 1.
 */
export function delayAfter(attempt: number, random: number): number | null {
  const delay = DELAYS[attempt - 1]
  return delay === undefined ? null : delay * (1 + JITTER * (2 * random - 1))
}
