import { INTERVALS, type Intervals } from '../../src/platform/intervals.ts'
import type { RequestKind } from './network-timing.ts'

/** Milliseconds in which the service serves again when the network does. */
export const RECOVERY_MS = 10_000

export type RequestLimits = Record<RequestKind, number>

/** What the times depend on. */
export type Bounds = {
  database: Intervals['database']
  log: Intervals['log']
  /** For a connection to be made. */
  connectSeconds: number
}

/** Those of a service that runs for its users. */
export const REAL: Bounds = { database: INTERVALS.database, log: INTERVALS.log, connectSeconds: 5 }

/** Of a test that has less time. */
export const SHORT: Bounds = {
  database: { ...INTERVALS.database, silentAfterMs: 800 },
  log: { ...INTERVALS.log, answerWithinMs: 6_000 },
  connectSeconds: 1,
}

/** Milliseconds that a read waits for the projections, and an answer about health takes. */
const WAIT_MS = 10_000
const POLL_INTERVAL_MS = 2_000

/**
 * Milliseconds that each kind of request takes at most while the network fails, as docs/explanation/failures.md
 * has them: what a connection that is dead takes to be noticed (a quarter more than it may be silent,
 * and as long again to ask), then what no connection takes to be made; twice, as what is asked
 * together may begin in one and end in the other. A read waits for the projections as well.
 */
export function limitsOf({ database, log, connectSeconds }: Bounds): RequestLimits {
  const lostMs = 2.25 * database.silentAfterMs + 1_000 * (connectSeconds + 1)
  return {
    flush: log.answerWithinMs,
    read: 2 * lostMs + WAIT_MS,
    log: 2 * lostMs + WAIT_MS,
    stream: 2 * lostMs,
    write: 2 * lostMs + WAIT_MS,
    health: POLL_INTERVAL_MS,
  }
}
