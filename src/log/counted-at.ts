import type { Refused } from './queue.ts'

/** How many days the time that a flush states may be in the past by default. */
export const COUNTED_AT_DAYS = 35

const DAY_S = 86_400

/** How far (s) it may be ahead of this process's clock. */
const MAX_AHEAD_S = 300

/** Refuses a flush whose time (Unix seconds) is out of range; null if it is in range, or absent. */
export function checkCountedAt(
  countedAt: number | undefined,
  days = COUNTED_AT_DAYS,
): Refused | null {
  if (countedAt === undefined) return null
  const now = Date.now() / 1_000
  const earliest = Math.ceil(now - days * DAY_S)
  if (countedAt >= earliest && countedAt <= now + MAX_AHEAD_S) return null
  return { kind: 'counted_at_out_of_range', earliest }
}
