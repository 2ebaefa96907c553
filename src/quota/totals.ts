import type { Fragment, Transaction } from '../platform/postgres/pool.ts'
import { type Listed, liveGeneration } from '../read-model/queries/live-source.ts'

/**
 * Counts the shards, if the totals of every shard are as far as its usage. Returns 0 otherwise: an
 * older release may have folded usage without them.
 */
export async function countShardsWithTotals(transaction: Transaction): Promise<number> {
  const [row] = await transaction<{ shards: number; complete: number }[]>`
    select
      count(*)::integer as shards,
      (count(*) filter (where c.periods_position = c.position))::integer as complete
    from checkpoints c
    where c.projection = 'usage' and c.generation = ${liveGeneration(transaction, 'usage')}`
  const { shards, complete } = row!
  return complete === shards ? shards : 0
}

/**
 * Selects what listed keys used since their periods began: account, start, and quota_used. A key
 * counts only if each of the shards has its row. Selects none if there are no shards.
 */
export function selectTotals(transaction: Transaction, shards: number, listed: Listed): Fragment {
  const isListed = listed
    ? transaction`
        and q.shard in (select s.shard from shards s) and q.token_hash = any (array(${listed}))`
    : transaction``
  return transaction`
    select q.token_hash as account, q.start, sum(q.quota_used) as quota_used
    from key_period_usage q
    where q.generation = ${liveGeneration(transaction, 'usage')}
      and ${shards > 0}::boolean ${isListed}
    group by q.token_hash, q.start
    having count(*) = ${shards}::integer`
}
