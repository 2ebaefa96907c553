import { type Exact, toExact } from '../../events/exact.ts'
import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'

/** Requests with their rates, as readers see them. Totals are exact whatever their size. */
export type Rated = {
  total_requests: Exact
  success_requests: Exact
  failure_requests: Exact
  /** count / total, 0 where total is 0. */
  success_rate: number
  failure_rate: number
}

/**
 * The columns that a rated read selects, from expressions for its sums: the one place where
 * failures and rates are computed.
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

/** Those columns as postgres.js gives them: numeric as text. */
export type RatedRow = {
  total_requests: string
  success_requests: string
  failure_requests: string
  success_rate: number
  failure_rate: number
}

export function toRated(row: RatedRow): Rated {
  return {
    total_requests: toExact(row.total_requests),
    success_requests: toExact(row.success_requests),
    failure_requests: toExact(row.failure_requests),
    success_rate: row.success_rate,
    failure_rate: row.failure_rate,
  }
}
