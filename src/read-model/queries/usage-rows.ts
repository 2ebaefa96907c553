import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'
import { liveGeneration, type Source } from './live-source.ts'

/** Whose usage: of all provider groups, or of one group, API key or token key. */
export type UsageOf =
  | { kind: 'all' }
  | { kind: 'group'; id: number }
  | { kind: 'api_key'; id: number }
  | { kind: 'key'; hash: string }

/** What is summed, by whose usage it is. */
export function usageColumns({ kind }: UsageOf): readonly string[] {
  return kind === 'key' ? ['requests', 'tokens', 'quota_used'] : ['requests', 'successes']
}

/** A `select` of all rows of usage: shard, quarter, and the columns that are summed. */
export function usageRows(transaction: Sql | Transaction, of: UsageOf): Fragment {
  const select = (table: string, isOf: Fragment) => transaction`
    select u.shard, u.quarter, ${transaction(usageColumns(of) as string[])}
    from ${transaction(table)} u
    where u.shard in (select s.shard from shards s)
      and u.generation = ${liveGeneration(transaction, 'usage')}
      and ${isOf}`
  switch (of.kind) {
    case 'all':
      // All that ever were, by name: the index has them apart.
      return select(
        'provider_group_usage',
        transaction`u.provider_group_id = any (array(
          select g.id
          from provider_groups g
          where g.generation = ${liveGeneration(transaction, 'catalog')}
        ))`,
      )
    case 'group':
      return select('provider_group_usage', transaction`u.provider_group_id = ${of.id}`)
    case 'api_key':
      return select('api_key_usage', transaction`u.api_key_id = ${of.id}`)
    case 'key':
      return select('key_usage', transaction`u.token_hash = ${of.hash}`)
  }
}

/** A `select` of the counters that such usage adds up to, from `source`; same columns. */
export function countedRows(transaction: Transaction, source: Source, of: UsageOf): Fragment {
  const columns = transaction(usageColumns(of) as string[])
  switch (of.kind) {
    case 'all':
      return transaction`select ${columns} from (${source.providerGroupCounters(null)}) t`
    case 'group':
      return transaction`
        select ${columns}
        from (${source.providerGroupCounters(transaction`select ${of.id}::bigint`)}) t
        where t.id = ${of.id}`
    case 'api_key':
      return transaction`
        select ${columns}
        from (${source.apiKeyCounters(transaction`select ${of.id}::bigint`)}) t
        where t.id = ${of.id}`
    case 'key':
      return transaction`
        select ${columns}
        from (${source.keyCounters(transaction`select ${of.hash}::text`)}) t
        where t.token_hash = ${of.hash}`
  }
}
