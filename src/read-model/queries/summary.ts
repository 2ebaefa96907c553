import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import type { Source } from './live-source.ts'
import { type Rated, type RatedRow, ratedColumns, toRated } from './rates.ts'

/** Reads the sums over all provider groups, including retired ones, whose history still counts. */
export async function readSummary(transaction: Transaction, source: Source): Promise<Rated> {
  const [row] = await transaction<RatedRow[]>`
    select ${ratedColumns(transaction, transaction`n.requests`, transaction`n.successes`)}
    from (
      select coalesce(sum(t.requests), 0) as requests, coalesce(sum(t.successes), 0) as successes
      from (${source.counters('provider_group', null)}) t
    ) n`
  return toRated(row!)
}

/** Computes the rates of sums that were added up elsewhere. */
export async function rateTotals(sql: Sql, requests: bigint, successes: bigint): Promise<Rated> {
  const [row] = await sql<RatedRow[]>`
    select ${ratedColumns(sql, sql`n.requests`, sql`n.successes`)}
    from (
      select ${String(requests)}::numeric as requests, ${String(successes)}::numeric as successes
    ) n`
  return toRated(row!)
}
