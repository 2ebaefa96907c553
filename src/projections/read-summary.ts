import type { Transaction } from '../db/pool.ts'
import { type Rated, type RatedRow, ratedColumns, toRated } from './rates.ts'
import { liveGeneration } from './read-rated.ts'

/** The sums over all provider groups, ended ones included: an end takes no history away. */
export async function readSummary(transaction: Transaction): Promise<Rated> {
  const [row] = await transaction<RatedRow[]>`
    select ${ratedColumns(transaction, transaction`n.requests`, transaction`n.successes`)}
    from (
      select coalesce(sum(t.requests), 0) as requests, coalesce(sum(t.successes), 0) as successes
      from provider_group_counters t
      where t.generation = ${liveGeneration(transaction, 'provider_group_counters')}
    ) n`
  return toRated(row!)
}
