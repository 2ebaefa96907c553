import { ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'
import { listOf, valuesOf } from '../projections/account-sql.ts'

/**
 * Where a read takes its rows from: the live generations, or the past. Each gives a `select` to be
 * put in parentheses after `from`.
 */
export type Source = {
  /** id, name, ended_at */
  providerGroups(): Fragment
  /** id, group_id, name, ended_at */
  apiKeys(): Fragment
  /** token_hash, quota_limit, name, ended_at */
  keys(): Fragment
  /** account, and its values: to be totalled, an account may stand in several rows. */
  counters(kind: AccountKind, listed: Listed): Fragment
}

/** A `select` of the accounts whose counters are wanted; null: all. */
export type Listed = Fragment | null

/** The generation of a projection that readers see. */
export function liveGeneration(transaction: Sql | Transaction, projection: string): Fragment {
  return transaction`(select p.generation from projections p where p.projection = ${projection})`
}

/** What is folded now. */
export function liveSource(transaction: Transaction): Source {
  const catalog = (columns: Fragment, table: string) => transaction`
    select ${columns}
    from ${transaction(table)} r
    where r.generation = ${liveGeneration(transaction, 'catalog')}`
  const counters = (kind: AccountKind, listed: Listed) => {
    const shape = ACCOUNTS[kind]
    const table = `${kind}_counters`
    const id = transaction`t.${transaction(shape.id)}`
    return transaction`
      select ${id} as account, ${listOf(transaction, valuesOf(shape), 't')}
      from ${transaction(table)} t
      where t.generation = ${liveGeneration(transaction, table)}
        ${listed ? isListed(transaction, id, listed) : transaction``}`
  }
  return {
    providerGroups: () => catalog(transaction`r.id, r.name, r.ended_at`, 'provider_groups'),
    apiKeys: () => catalog(transaction`r.id, r.group_id, r.name, r.ended_at`, 'api_keys'),
    keys: () => catalog(transaction`r.token_hash, r.quota_limit, r.name, r.ended_at`, 'keys'),
    counters,
  }
}

/**
 * Further condition on counters `t`: their `key` is listed. In the order of ids a page is cut first
 * and only its own rows are looked up; any other order has to know all sums.
 *
 * With `in` PostgreSQL 15 reads all counters: 30 ms for a page of 20,000 keys in 4 shards, and 2 ms
 * so. A lateral join is as fast, but Citus has none from a reference table to a distributed one.
 */
function isListed(transaction: Transaction, key: Fragment, listed: Fragment): Fragment {
  return transaction`
    and t.shard in (select s.shard from shards s)
    and ${key} = any (array(${listed}))`
}
