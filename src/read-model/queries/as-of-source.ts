import { ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import type { Positions } from '../../events/positions.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { type Column, listOf, unnest, valuesOf } from '../projections/account-sql.ts'
import { snapshotTable, unpack } from '../projections/snapshots.ts'
import type { Listed, Source } from './live-source.ts'

/** The projections as they stood after the events at `positions`. */
export type AsOfSource = {
  positions: Positions
  generations: { catalog: number; snapshots: number }
  /** The newest snapshot of each shard that isn't later; -1 where there is none. */
  snapshots: Positions
  /** The accounts that are wanted, and what was posted to them since, over all shards. */
  kind: AccountKind
  since: readonly Column[]
}

/** What was folded then. */
export function asOfSource(transaction: Transaction, asOf: AsOfSource): Source {
  return {
    providerGroups: () => versions(transaction, asOf, 'provider_group_versions', 'id'),
    apiKeys: () => versions(transaction, asOf, 'api_key_versions', 'id'),
    keys: () => versions(transaction, asOf, 'key_versions', 'token_hash'),
    counters: (kind, listed) => counters(transaction, asOf, kind, listed),
  }
}

/** The newest version of each row that isn't later. */
function versions(
  transaction: Transaction,
  { generations, positions }: AsOfSource,
  table: string,
  id: string,
): Fragment {
  return transaction`
    select distinct on (v.${transaction(id)}) v.*
    from ${transaction(table)} v
    where v.generation = ${generations.catalog} and v.position <= ${positions[0]!}
    order by v.${transaction(id)}, v.position desc`
}

function counters(
  transaction: Transaction,
  asOf: AsOfSource,
  kind: AccountKind,
  listed: Listed,
): Fragment {
  if (kind !== asOf.kind) throw new Error(`the past of ${asOf.kind} is no past of ${kind}`)
  const shape = ACCOUNTS[kind]
  const { table, first, last } = snapshotTable(kind)
  const values = valuesOf(shape)
  return transaction`
    select u.account, ${listOf(transaction, values, 'u')}
    from ${transaction(table)} s
      ${listed ? joinListed(transaction, listed) : transaction``}
      cross join ${unpack(transaction, shape)}
    where ${isSnapshot(transaction, asOf)}
      ${listed ? isOnPage(transaction, first, last) : transaction``}
    union all
    select f.account, ${listOf(transaction, values, 'f')}
    from ${unnest(transaction, asOf.since)}`
}

/** Snapshots `s` of these positions. Spelled out: a join would read those of all positions. */
function isSnapshot(transaction: Transaction, { generations, snapshots }: AsOfSource): Fragment {
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
