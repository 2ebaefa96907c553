import type { Fragment, Sql, Transaction } from './pool.ts'

/** As PostgreSQL reads an interval; see `ownClock`. */
export const CLOCK_TOLERANCE = '60 seconds'

/**
 * What every function that appends is told last: the time of this process, and how far the
 * database's clock may be from it when something is recorded. That is more than clocks without NTP
 * drift apart in months, and than a statement is on its way. Times of the log are the database's,
 * and stay.
 */
export const ownClock = (sql: Sql | Transaction): Fragment =>
  sql`${new Date().toISOString()}::timestamptz, ${CLOCK_TOLERANCE}::interval`
