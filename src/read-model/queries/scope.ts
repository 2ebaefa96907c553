import { ACCOUNTS, type AccountKind } from '../../events/accounts.ts'
import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'
import { listOf } from '../projections/account-sql.ts'
import { backdatedPartsTable, partsTable } from '../projections/detail-rows.ts'
import { ALL_GROUPS } from '../projections/detail-totals.ts'
import { GRAINS, type Grain, rolledUpPartsTable, rolledUpTable } from '../projections/rolled-up.ts'
import { backdatedTable, usageTable } from '../projections/usage.ts'
import { liveGeneration, type Source } from './live-source.ts'

/** Selects the totals of one account of a kind, or (null) of all accounts in the catalog. */
export type Scope = {
  kind: AccountKind
  account: number | string | null
  /** A `select` of the accounts to read instead of all, if `account` is null. */
  listed?: Fragment
  /** True if that may be very many: then backdated rows are not searched for each of them. */
  isLong?: boolean
}

/** All provider groups: every request of a group is counted once. */
export const EVERYTHING: Scope = { kind: 'provider_group', account: null }

/**
 * A `select` of all usage: shard, quarter, account, and the summed columns. Each table costs time
 * to plan; so `units` names those by which some is kept.
 */
export function usageRows(sql: Sql | Transaction, scope: Scope, units: readonly Grain[]): Fragment {
  const columns = listOf(sql, ACCOUNTS[scope.kind].sums, 'b')
  return [backdatedRows(sql, scope), ...units.map((grain) => rowsBy(sql, scope, grain))].reduce(
    (all, rows) => sql`
      ${all}
      union all
      select b.shard, b.quarter, b.account, ${columns} from (${rows}) b`,
    timelyRows(sql, scope),
  )
}

/** A `select` of usage that was counted when it was recorded, with the same columns. */
export function timelyRows(sql: Sql | Transaction, { kind, account, listed }: Scope): Fragment {
  const { id, type, sums } = ACCOUNTS[kind]
  const name = sql`u.${sql(id)}`
  const isOne = () => sql`${name} = ${account}::${sql.unsafe(type)}`
  const isAny = () => (listed ? isListed(sql, name, listed) : isKnown(sql, kind, name))
  return sql`
    select u.shard, u.quarter, ${name} as account, ${listOf(sql, sums, 'u')}
    from ${sql(usageTable(kind))} u
    where u.shard in (select s.shard from shards s)
      and u.generation = ${liveGeneration(sql, 'usage')}
      and ${account === null ? isAny() : isOne()}`
}

/**
 * A `select` of backdated usage: shard, quarter, position, account, and the summed columns. The
 * statement is kept simple, because it is planned with every read of usage.
 */
export const backdatedRows = (sql: Sql | Transaction, scope: Scope): Fragment =>
  selectPositioned(sql, scope, backdatedTable(scope.kind))

/** The same of usage that is kept by days or months, timely or backdated. */
export const rolledUpRows = (sql: Sql | Transaction, scope: Scope): Fragment =>
  GRAINS.map((grain) => rowsBy(sql, scope, grain)).reduce((a, b) => sql`${a} union all ${b}`)

/** The same of usage that is kept by one of these units. */
export const rowsBy = (sql: Sql | Transaction, scope: Scope, grain: Grain): Fragment =>
  selectPositioned(sql, scope, rolledUpTable(scope.kind, grain))

function selectPositioned(sql: Sql | Transaction, scope: Scope, table: string): Fragment {
  const { kind, account, listed, isLong = false } = scope
  const { id, type, sums } = ACCOUNTS[kind]
  const name = sql`u.${sql(id)}`
  const isOne = () => sql`${name} = ${account}::${sql.unsafe(type)}`
  const isIn = () => (isLong ? sql`${name} in (${listed!})` : isListed(sql, name, listed!))
  const isAny = () => (listed ? isIn() : isKnown(sql, kind, name))
  return sql`
    select u.shard, u.quarter, u.position, ${name} as account, ${listOf(sql, sums, 'u')}
    from ${sql(table)} u
    where u.generation = ${liveGeneration(sql, 'usage')}
      and ${account === null ? isAny() : isOne()}`
}

/**
 * A `select` of all usage by combination: shard, quarter, combination, the summed columns and the
 * measures.
 */
export function partRows(sql: Sql | Transaction, scope: Scope, grains: readonly Grain[]): Fragment {
  const columns = listOf(sql, [...ACCOUNTS[scope.kind].sums, 'measures'], 'b')
  return sql`
    ${timelyParts(sql, scope)}
    union all
    select b.shard, b.quarter, b.combination, ${columns} from (${backdatedParts(sql, scope)}) b
    ${rolledUpParts(sql, scope, grains)}`
}

/** A `select` of these rows that were counted when they were recorded. */
export const timelyParts = (sql: Sql | Transaction, scope: Scope): Fragment =>
  selectParts(sql, scope, partsTable(scope.kind), [])

/** Those that are kept by days or months, to follow another `select`. */
export const rolledUpParts = (
  sql: Sql | Transaction,
  scope: Scope,
  grains: readonly Grain[] = GRAINS,
): Fragment =>
  grains
    .map((grain) => selectParts(sql, scope, rolledUpPartsTable(scope.kind, grain), []))
    .reduce((all, parts) => sql`${all} union all ${parts}`, sql``)

/** A `select` of the others, with their positions. */
export const backdatedParts = (sql: Sql | Transaction, scope: Scope): Fragment =>
  selectParts(sql, scope, backdatedPartsTable(scope.kind), ['position'])

function selectParts(
  sql: Sql | Transaction,
  scope: Scope,
  table: string,
  more: readonly string[],
): Fragment {
  const { id, type, sums } = ACCOUNTS[scope.kind]
  const columns = ['shard', 'quarter', 'combination', ...sums, 'measures', ...more]
  return sql`
    select ${listOf(sql, columns, 'u')}
    from ${sql(table)} u
    where u.generation = ${liveGeneration(sql, 'usage')}
      and u.${sql(id)} = ${accountOfParts(scope)}::${sql.unsafe(type)}`
}

/** The account whose parts are those of a scope. */
export const accountOfParts = ({ account }: Scope): number | string => account ?? ALL_GROUPS

const isListed = (sql: Sql | Transaction, name: Fragment, listed: Fragment) =>
  sql`${name} = any (array(${listed}))`

const CATALOG = { provider_group: 'provider_groups', api_key: 'api_keys', key: 'keys' } as const

/**
 * Condition on all accounts of the catalog, retired ones included. Listing their ids lets the index
 * find each of them.
 */
function isKnown(sql: Sql | Transaction, kind: AccountKind, name: Fragment): Fragment {
  const id = sql(kind === 'key' ? 'token_hash' : 'id')
  return sql`${name} = any (array(
    select r.${id}
    from ${sql(CATALOG[kind])} r
    where r.generation = ${liveGeneration(sql, 'catalog')}
  ))`
}

/**
 * A `select` of the counters that usage of this scope adds up to, from `source`: the account, and
 * the summed columns.
 */
export function countedRows(transaction: Transaction, source: Source, scope: Scope): Fragment {
  const { kind, account, listed = null } = scope
  const { type, sums } = ACCOUNTS[kind]
  const columns = listOf(transaction, sums, 't')
  if (account === null)
    return transaction`select t.account, ${columns} from (${source.counters(kind, listed)}) t`
  const key = transaction`${account}::${transaction.unsafe(type)}`
  return transaction`
    select t.account, ${columns}
    from (${source.counters(kind, transaction`select ${key}`)}) t
    where t.account = ${key}`
}
