import { INTERVALS, type Intervals } from '../../src/platform/intervals.ts'
import type { RequestKind } from './network-timing.ts'

/** Milliseconds within which the service must recover after the network has. */
export const RECOVERY_MS = 10_000

export type RequestLimits = Record<RequestKind, number>

/** The time-outs on which the limits depend. */
export type Bounds = {
  database: Intervals['database']
  log: Intervals['log']
  /** The time-out for connecting. */
  connectSeconds: number
}

/** The time-outs of a service in production. */
export const REAL: Bounds = { database: INTERVALS.database, log: INTERVALS.log, connectSeconds: 5 }

/** Shorter time-outs, for everyday tests. */
export const SHORT: Bounds = {
  database: { ...INTERVALS.database, silentAfterMs: 800 },
  log: { ...INTERVALS.log, answerWithinMs: 6_000 },
  connectSeconds: 1,
}

/** How long (ms) a read waits for projections, and how long a health check may take. */
const WAIT_MS = 10_000
const HEALTH_MS = 2_000

/**
 * The longest time (ms) that each kind of request takes while the network fails, as stated in
 * docs/explanation/failures.md. It is the time to detect a dead connection (1.25 times the allowed
 * silence, and as long again to ask the server), plus the time-out for connecting; all of it twice,
 * because concurrent statements may begin on one connection and end on another. A read also waits
 * for projections.
 */
export function limitsOf({ database, log, connectSeconds }: Bounds): RequestLimits {
  const lostMs = 2.25 * database.silentAfterMs + 1_000 * (connectSeconds + 1)
  return {
    flush: log.answerWithinMs,
    read: 2 * lostMs + WAIT_MS,
    log: 2 * lostMs + WAIT_MS,
    stream: 2 * lostMs,
    write: 2 * lostMs + WAIT_MS,
    health: HEALTH_MS,
  }
}
