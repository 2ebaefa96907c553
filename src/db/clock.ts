/**
 * How far the database's clock may be from this process's when something is recorded: more than
 * clocks without NTP drift apart in months, and than a statement is on its way. Times of the log
 * are the database's, and stay.
 */
export const CLOCK_TOLERANCE = '60 seconds'
