import type { Fragment, Transaction } from '../db/pool.ts'
import type { Positions } from '../events/positions.ts'
import type { KeySum } from './key-sums.ts'
import type { Listed, Source } from './source.ts'
import type { Sum } from './sums.ts'
import { unnestKeySums, unnestSums } from './unnest.ts'

/** The projections as they stood after the events at `positions`. */
export type Past = {
  positions: Positions
  generations: { catalog: number; snapshots: number }
  /** The newest snapshot of each shard that isn't later; -1 where there is none. */
  snapshots: Positions
  /** What was counted between the snapshots and the positions, over all shards. */
  since: { apiKeys: readonly Sum[]; groups: readonly Sum[]; keys: readonly KeySum[] }
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
  since: readonly Sum[],
  listed: Listed,
): Fragment {
  return transaction`
    select u.id, u.requests, u.successes
    from ${transaction(table)} s
      cross join lateral unnest(s.ids, s.requests, s.successes) as u(id, requests, successes)
    where ${isSnapshot(transaction, past)}
      ${listed ? isOnPage(transaction, 'first_id', 'last_id', listed) : transaction``}
    union all
    select f.id, f.requests, f.successes
    from ${unnestSums(transaction, since)}`
}

function keySums(transaction: Transaction, past: Past, listed: Listed): Fragment {
  const since = past.since.keys
  return transaction`
    select u.token_hash, u.requests, u.tokens, u.quota_used, u.last_accessed_at
    from key_snapshots s
      cross join lateral unnest(
        s.token_hashes, s.requests, s.tokens, s.quota_used, s.last_accessed_at
      ) as u(token_hash, requests, tokens, quota_used, last_accessed_at)
    where ${isSnapshot(transaction, past)}
      ${listed ? isOnPage(transaction, 'first_hash', 'last_hash', listed) : transaction``}
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

/** Pages that can hold a listed id: the others stay packed. */
function isOnPage(
  transaction: Transaction,
  first: string,
  last: string,
  listed: Fragment,
): Fragment {
  return transaction`
    and exists (
      select from unnest(array(${listed})) as l(id)
      where l.id between s.${transaction(first)} and s.${transaction(last)}
    )`
}
