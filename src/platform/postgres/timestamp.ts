/**
 * SQL that shows a timestamptz as RFC 3339 in UTC with microseconds, as leaves and event lines have
 * it: `2026-01-31T12:00:00.123456+00:00`.
 */
export const toMicroseconds = (expression: string) =>
  `to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')`

/** The same with milliseconds: `2026-01-31T12:00:00.123Z`. */
export const toMilliseconds = (expression: string) =>
  `to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
