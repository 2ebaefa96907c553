/** How far the times of spans may be from the system clock, in milliseconds. */
const MAX_DRIFT_MS = 5

let originMs = Date.now() - performance.now()

/**
 * Returns a time of `performance.now()` in milliseconds since 1970. Spans need its resolution, but
 * also the system clock, which may have been set since the process started.
 */
export function toEpoch(ms: number): number {
  const current = Date.now() - performance.now()
  if (Math.abs(current - originMs) > MAX_DRIFT_MS) originMs = current
  return originMs + ms
}

/** Returns the current time in milliseconds since 1970, with fractions. */
export const now = () => toEpoch(performance.now())
