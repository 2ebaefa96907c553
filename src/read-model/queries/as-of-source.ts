import { ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import type { Positions } from '../../events/positions.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { type Column, listOf, unnest, valuesOf } from '../projections/account-sql.ts'
import { measureSnapshotTable, unpackMeasures } from '../projections/measure-snapshots.ts'
import { snapshotTable } from '../projections/snapshot-pages.ts'
import { unpack } from '../projections/snapshots.ts'
import type { Listed, Source } from './live-source.ts'

/** The projections as they stood after the events at `positions`. */
export type AsOfSource = {
  positions: Positions
  generations: { catalog: number; snapshots: number }
  /** The newest snapshot of each shard at or before its position; -1 if there is none. */
  snapshots: Positions
  /** The kind of accounts, and what was posted to them since the snapshots, over all shards. */
  kind: AccountKind
  since: readonly Column[]
  /** The measures that were posted since: account, number and value. */
  measuredSince: readonly Column[]
}

/** Returns a source of the rows as of these positions. */
export function asOfSource(transaction: Transaction, asOf: AsOfSource): Source {
  return {
    providerGroups: () => versions(transaction, asOf, 'provider_group_versions', 'id'),
    apiKeys: () => versions(transaction, asOf, 'api_key_versions', 'id'),
    keys: () => versions(transaction, asOf, 'key_versions', 'token_hash'),
    measures: () => versions(transaction, asOf, 'measure_versions', 'name'),
    measured: (kind, listed) => measured(transaction, asOf, kind, listed),
    counters: (kind, listed) => counters(transaction, asOf, kind, listed),
  }
}

/** Selects the newest version of each row at or before shard 0's position. */
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
  if (kind !== asOf.kind)
    throw new Error(`as-of state of ${asOf.kind} accounts can't be read as ${kind} accounts`)
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

function measured(
  transaction: Transaction,
  asOf: AsOfSource,
  kind: AccountKind,
  listed: Fragment,
): Fragment {
  const { table, first, last } = measureSnapshotTable(kind)
  return transaction`
    select t.account, t.number, t.value
    from (
      select u.account, s.number, u.value
      from ${transaction(table)} s
        ${joinListed(transaction, listed)}
        cross join ${unpackMeasures(transaction, kind)}
      where ${isSnapshot(transaction, asOf)} ${isOnPage(transaction, first, last)}
      union all
      select f.account, f.number::integer, f.value
      from ${unnest(transaction, asOf.measuredSince)}
    ) t
    where t.account = any (array(${listed}))`
}

/**
 * Condition on snapshots `s`: at these positions. Spelled out, because a join would read the
 * snapshots of all positions.
 */
function isSnapshot(transaction: Transaction, { generations, snapshots }: AsOfSource): Fragment {
  const isAt = snapshots.map(
    (position, shard) => transaction`(s.shard = ${shard} and s.position = ${position})`,
  )
  const any = isAt.reduce((all, one) => transaction`${all} or ${one}`)
  return transaction`s.generation = ${generations.snapshots} and (${any})`
}

/** Joins the listed ids, sorted, as `l (ids)`. */
function joinListed(transaction: Transaction, listed: Fragment): Fragment {
  return transaction`
    cross join (select array(select l.id from (${listed}) as l(id) order by l.id) as ids) l`
}

/**
 * Condition on pages that can contain one of `l.ids`; the others are not decompressed. It compares
 * the number of ids up to each end of the page, because Citus does not support a subquery over a
 * list per row.
 */
function isOnPage(transaction: Transaction, first: string, last: string): Fragment {
  const [from, to] = [transaction`s.${transaction(first)}`, transaction`s.${transaction(last)}`]
  return transaction`
    and (
      width_bucket(${to}, l.ids) > width_bucket(${from}, l.ids) or ${from} = any (l.ids)
    )`
}
