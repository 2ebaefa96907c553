import type { Fragment, Sql, Transaction } from './pool.ts'

/** A PostgreSQL interval; see `ownClock`. */
export const CLOCK_TOLERANCE = '60 seconds'

/**
 * The last two arguments of every function that appends: the time of this process, and how far the
 * database's clock may differ from it. The tolerance exceeds the drift of clocks without NTP over
 * months, and the latency of a statement. The log records the database's time, permanently.
 */
export const ownClock = (sql: Sql | Transaction): Fragment =>
  sql`${new Date().toISOString()}::timestamptz, ${CLOCK_TOLERANCE}::interval`
