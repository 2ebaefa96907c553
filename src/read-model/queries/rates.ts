import { type Exact, toExact } from '../../events/exact.ts'
import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'

/** Request totals with their rates. Totals are exact at any size. */
export type Rated = {
  total_requests: Exact
  success_requests: Exact
  failure_requests: Exact
  /** count / total; 0 if the total is 0. */
  success_rate: number
  failure_rate: number
}

/**
 * The columns of a rated read, from expressions for its sums. Failures and rates are computed only
 * here.
 */
export function ratedColumns(sql: Sql | Transaction, requests: Fragment, successes: Fragment) {
  const rate = (count: Fragment) => sql`
    case when ${requests} = 0 then 0::float8 else (${count})::float8 / (${requests})::float8 end`
  return sql`
    ${requests} as total_requests,
    ${successes} as success_requests,
    ${requests} - ${successes} as failure_requests,
    ${rate(successes)} as success_rate,
    ${rate(sql`${requests} - ${successes}`)} as failure_rate`
}

/** These columns as postgres.js returns them: numeric as text. */
export type RatedRow = {
  total_requests: string
  success_requests: string
  failure_requests: string
  success_rate: number
  failure_rate: number
}

/** Converts the rated columns of a row. */
export function toRated(row: RatedRow): Rated {
  return {
    total_requests: toExact(row.total_requests),
    success_requests: toExact(row.success_requests),
    failure_requests: toExact(row.failure_requests),
    success_rate: row.success_rate,
    failure_rate: row.failure_rate,
  }
}
