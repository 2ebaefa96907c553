import type { Positions } from '../../events/positions.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { type Columns, unnestKeySums, unnestSums } from '../projections/unnest.ts'
import type { Listed, Source } from './live-source.ts'

/** The projections as they stood after the events at `positions`. */
export type Past = {
  positions: Positions
  generations: { catalog: number; snapshots: number }
  /** The newest snapshot of each shard that isn't later; -1 where there is none. */
  snapshots: Positions
  /** What was counted between the snapshots and the positions, over all shards. */
  since: { apiKeys: Columns; groups: Columns; keys: Columns }
}

/** What was folded then. */
export function pastSource(transaction: Transaction, past: Past): Source {
  return {
    providerGroups: () => versions(transaction, past, 'provider_group_versions', 'id'),
    apiKeys: () => versions(transaction, past, 'api_key_versions', 'id'),
    keys: () => versions(transaction, past, 'key_versions', 'token_hash'),
    apiKeyCounters: (listed) =>
      sums(transaction, past, 'api_key_snapshots', past.since.apiKeys, listed),
    providerGroupCounters: (listed) =>
      sums(transaction, past, 'provider_group_snapshots', past.since.groups, listed),
    keyCounters: (listed) => keySums(transaction, past, listed),
  }
}

/** The newest version of each row that isn't later. */
function versions(
  transaction: Transaction,
  { generations, positions }: Past,
  table: string,
  id: string,
): Fragment {
  return transaction`
    select distinct on (v.${transaction(id)}) v.*
    from ${transaction(table)} v
    where v.generation = ${generations.catalog} and v.position <= ${positions[0]!}
    order by v.${transaction(id)}, v.position desc`
}

function sums(
  transaction: Transaction,
  past: Past,
  table: string,
  since: Columns,
  listed: Listed,
): Fragment {
  return transaction`
    select u.id, u.requests, u.successes
    from ${transaction(table)} s
      ${listed ? joinListed(transaction, listed) : transaction``}
      cross join lateral unnest(s.ids, s.requests, s.successes) as u(id, requests, successes)
    where ${isSnapshot(transaction, past)}
      ${listed ? isOnPage(transaction, 'first_id', 'last_id') : transaction``}
    union all
    select f.id, f.requests, f.successes
    from ${unnestSums(transaction, since)}`
}

function keySums(transaction: Transaction, past: Past, listed: Listed): Fragment {
  const since = past.since.keys
  return transaction`
    select u.token_hash, u.requests, u.tokens, u.quota_used, u.last_accessed_at
    from key_snapshots s
      ${listed ? joinListed(transaction, listed) : transaction``}
      cross join lateral unnest(
        s.token_hashes, s.requests, s.tokens, s.quota_used, s.last_accessed_at
      ) as u(token_hash, requests, tokens, quota_used, last_accessed_at)
    where ${isSnapshot(transaction, past)}
      ${listed ? isOnPage(transaction, 'first_hash', 'last_hash') : transaction``}
    union all
    select f.token_hash, f.requests, f.tokens, f.quota_used, f.last_accessed_at
    from ${unnestKeySums(transaction, since)}`
}

/** Snapshots `s` of these positions. Spelled out: a join would read those of all positions. */
function isSnapshot(transaction: Transaction, { generations, snapshots }: Past): Fragment {
  const isAt = snapshots.map(
    (position, shard) => transaction`(s.shard = ${shard} and s.position = ${position})`,
  )
  const any = isAt.reduce((all, one) => transaction`${all} or ${one}`)
  return transaction`s.generation = ${generations.snapshots} and (${any})`
}

/** The listed ids in order, as `l (ids)`. */
function joinListed(transaction: Transaction, listed: Fragment): Fragment {
  return transaction`
    cross join (select array(select l.id from (${listed}) as l(id) order by l.id) as ids) l`
}

/**
 * Pages that can hold one of `l.ids`: the others stay packed. By counting those up to its ends, as
 * Citus has no subquery over a list that is asked for each row.
 */
function isOnPage(transaction: Transaction, first: string, last: string): Fragment {
  const [from, to] = [transaction`s.${transaction(first)}`, transaction`s.${transaction(last)}`]
  return transaction`
    and (
      width_bucket(${to}, l.ids) > width_bucket(${from}, l.ids) or ${from} = any (l.ids)
    )`
}
