import { ACCOUNTS } from '../../events/accounts.ts'
import { type Exact, toExact } from '../../events/exact.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { totalOfRows } from '../projections/account-sql.ts'
import type { Measured } from './measures.ts'
import { type Rated, type RatedRow, ratedColumns, toRated } from './rates.ts'
import type { Scope } from './scope.ts'

/** Usage of a token key. */
export type KeyUsed = { request_count: Exact; used_tokens: Exact; quota_used: Exact }

/** Usage from `from` (inclusive) to `to` (exclusive), both RFC 3339. */
export type Bucket = { from: string; to: string; measures?: Measured } & (Rated | KeyUsed)

/** Usage per bucket, and in total. */
export type Usage = { items: Bucket[]; total: (Rated | KeyUsed) & { measures?: Measured } }

/**
 * Sums usage rows into buckets: bucket i lasts from `bounds[i]` to `bounds[i + 1]`. All bounds are
 * whole quarter hours, so that each row belongs to one bucket.
 */
export async function readUsage(
  transaction: Transaction,
  { kind }: Scope,
  rows: Fragment,
  bounds: readonly string[],
): Promise<Usage> {
  const from = bounds[0]!
  const to = bounds.at(-1)!
  const shape = { ...ACCOUNTS[kind], maxima: [] }
  // Row 0 is the total.
  const found = await transaction<UsedRow[]>`
    with n as (
      select
        width_bucket(u.quarter, ${`{${bounds.join(',')}}`}::timestamptz[]) as bucket,
        ${totalOfRows(transaction, shape, 'u')}
      from (${rows}) u
      where u.quarter >= ${from}::timestamptz and u.quarter < ${to}::timestamptz
      group by 1
    )
    select ${usedColumns(transaction, kind)}
    from generate_series(0, ${bounds.length - 1}::integer) b
      left join (
        select * from n
        union all
        select 0, ${totalOfRows(transaction, shape, 'n')} from n
      ) n on n.bucket = b
    order by b`
  const [total, ...items] = found.map(toUsed)
  return {
    items: items.map((used, i) => ({ from: bounds[i]!, to: bounds[i + 1]!, ...used })),
    total: total!,
  }
}

type KeyRow = { request_count: string; used_tokens: string; quota_used: string }
export type UsedRow = RatedRow | KeyRow

/** The columns of usage, from sums `n`. */
export function usedColumns(transaction: Transaction, kind: Scope['kind']): Fragment {
  if (kind === 'key') {
    return transaction`
      coalesce(n.requests, 0) as request_count,
      coalesce(n.tokens, 0) as used_tokens,
      coalesce(n.quota_used, 0) as quota_used`
  }
  return ratedColumns(
    transaction,
    transaction`coalesce(n.requests, 0)`,
    transaction`coalesce(n.successes, 0)`,
  )
}

/** Converts these columns of a row. */
export function toUsed(row: UsedRow): Rated | KeyUsed {
  if ('total_requests' in row) return toRated(row)
  return {
    request_count: toExact(row.request_count),
    used_tokens: toExact(row.used_tokens),
    quota_used: toExact(row.quota_used),
  }
}
