import type { Exact } from '../../events/exact.ts'
import type { UnknownKind } from '../../events/unknown.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { type Column, unnest } from './account-sql.ts'
import { toArray, toTextArray } from './array.ts'
import { combinationKey, formatMeasures, sumMeasures } from './detail-rows.ts'
import type { Measures } from './detail-totals.ts'
import type { WriteTarget } from './projection.ts'

/** Names of each kind that a shard keeps apart, in order of appearance; the others are one row. */
const MAX_NAMES = 100_000

type Counts = { name: string; requests: Exact; flushes: number }
export type Name = Counts & { first: string; last: string; lastPosition: number }
export type Used = Counts & {
  quarter: string
  seconds: Exact
  accessed: number
  lastPosition: number
}
export type Part = Pick<Used, 'name' | 'quarter' | 'requests' | 'seconds'> & {
  combination: string
  measures: Measures
}
export type Adopted = { group: number | null; isTracked: boolean | null }
export type Taken = Counts & Adopted & { position: number }

const nameColumn = (rows: readonly Pick<Counts, 'name'>[]): Column => ({
  name: 'name',
  type: 'text',
  text: toTextArray(rows, ({ name }) => name),
})

/** The columns of names and counts. */
const countColumns = (rows: readonly Counts[]): Column[] => [
  nameColumn(rows),
  { name: 'requests', type: 'numeric', text: toArray(rows, ({ requests }) => requests) },
  { name: 'flushes', type: 'bigint', text: toArray(rows, ({ flushes }) => flushes) },
]

/**
 * A name that was not there gets the next number, or is added to the row of the others. Their row,
 * which has an empty name, has the last number that was given.
 */
export function writeNames(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  kind: UnknownKind,
  rows: readonly Name[],
): Promise<unknown> {
  const columns: Column[] = [
    ...countColumns(rows),
    { name: 'first_seen', type: 'timestamptz', text: toTextArray(rows, ({ first }) => first) },
    { name: 'last_seen', type: 'timestamptz', text: toTextArray(rows, ({ last }) => last) },
    { name: 'ordinal', type: 'bigint', text: toArray([...rows.entries()], ([i]) => i) },
  ]
  // Known names keep their number. Citus can't number rows of a subquery that looks them up.
  const numbered = transaction`
    select
      s.shard, f.name, f.requests, f.flushes, f.first_seen, f.last_seen,
      coalesce(
        known.number,
        coalesce(others.number, 0)
          + row_number() over (partition by known.number is null order by f.ordinal)
      ) as number
    from shards s
      cross join ${unnest(transaction, columns)}
      left join ${namesOf(transaction, generation, kind, 'known')} and known.name = f.name
      left join ${namesOf(transaction, generation, kind, 'others')} and others.name = ''
    where s.shard = ${shard}`
  return transaction`
    insert into unknown_keys as k
      (shard, generation, kind, name, number, requests, flushes, first_seen, last_seen)
    select
      r.shard, ${generation}, ${kind}, r.name, max(r.number), sum(r.requests), sum(r.flushes),
      min(r.first_seen), max(r.last_seen)
    from (
      select
        n.shard, least(n.number, ${MAX_NAMES}) as number, n.first_seen, n.last_seen,
        case when o.is_own and n.number <= ${MAX_NAMES} then n.name else '' end as name,
        case when o.is_own then n.requests else 0 end as requests,
        case when o.is_own then n.flushes else 0 end as flushes
      from (${numbered}) n
        cross join (values (true), (false)) as o(is_own)
    ) r
    group by r.shard, r.name
    on conflict (shard, generation, kind, name) do update set
      number = greatest(k.number, excluded.number),
      requests = k.requests + excluded.requests,
      flushes = k.flushes + excluded.flushes,
      first_seen = least(k.first_seen, excluded.first_seen),
      last_seen = greatest(k.last_seen, excluded.last_seen)`
}

/** Names of `s.shard`, for use after `join`. */
const namesOf = (
  transaction: Transaction,
  generation: number,
  kind: UnknownKind,
  alias: string,
): Fragment => {
  const column = (name: string) => transaction`${transaction(alias)}.${transaction(name)}`
  return transaction`
    unknown_keys ${transaction(alias)} on ${column('shard')} = s.shard
      and ${column('generation')} = ${generation} and ${column('kind')} = ${kind}`
}

/** Adds usage: of names that are kept apart, or all of it. */
export function writeUsage(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  kind: UnknownKind,
  rows: readonly Used[],
  onlyKept: boolean,
): Promise<unknown> {
  const columns: Column[] = [
    ...countColumns(rows),
    { name: 'quarter', type: 'timestamptz', text: toTextArray(rows, ({ quarter }) => quarter) },
    { name: 'seconds', type: 'numeric', text: toArray(rows, ({ seconds }) => seconds) },
    { name: 'accessed', type: 'bigint', text: toArray(rows, ({ accessed }) => accessed) },
  ]
  return transaction`
    insert into unknown_usage as u
      (shard, generation, kind, name, quarter, requests, seconds, last_accessed_at, flushes)
    select
      s.shard, ${generation}, ${kind}, f.name, f.quarter, f.requests, f.seconds, f.accessed,
      f.flushes
    from shards s
      cross join ${unnest(transaction, columns)}
      ${onlyKept ? isKept(transaction, generation, kind) : transaction``}
    where s.shard = ${shard}
    on conflict (generation, kind, name, quarter, shard) do update set
      requests = u.requests + excluded.requests,
      seconds = u.seconds + excluded.seconds,
      last_accessed_at = greatest(u.last_accessed_at, excluded.last_accessed_at),
      flushes = u.flushes + excluded.flushes`
}

/** Adds parts of usage, as `writeUsage` does. */
export function writeParts(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  kind: UnknownKind,
  rows: readonly Part[],
  onlyKept: boolean,
): Promise<unknown> {
  const columns: Column[] = [
    nameColumn(rows),
    { name: 'quarter', type: 'timestamptz', text: toTextArray(rows, ({ quarter }) => quarter) },
    { name: 'combination', type: 'text', text: toTextArray(rows, (row) => row.combination) },
    { name: 'requests', type: 'numeric', text: toArray(rows, ({ requests }) => requests) },
    { name: 'seconds', type: 'numeric', text: toArray(rows, ({ seconds }) => seconds) },
    {
      ...{ name: 'measures', type: 'text' },
      text: toTextArray(rows, ({ measures }) => formatMeasures(measures)),
    },
  ]
  const added = rows.map(({ measures }) => measures)
  return transaction`
    insert into unknown_parts as u
      (shard, generation, kind, name, quarter, combination, requests, seconds, measures)
    select
      s.shard, ${generation}, ${kind}, f.name, f.quarter, f.combination, f.requests, f.seconds,
      f.measures::numeric[]
    from shards s
      cross join ${unnest(transaction, columns)}
      ${onlyKept ? isKept(transaction, generation, kind) : transaction``}
    where s.shard = ${shard}
    on conflict (generation, kind, name, quarter, shard, ${combinationKey(transaction)})
      do update set
        requests = u.requests + excluded.requests,
        seconds = u.seconds + excluded.seconds,
        ${sumMeasures(transaction, 'u', added)}`
}

const isKept = (transaction: Transaction, generation: number, kind: UnknownKind): Fragment =>
  transaction`
    join ${namesOf(transaction, generation, kind, 'kept')} and kept.name = f.name`

/** Only shard 0 has acts, so the rows have no shard. */
export function writeTaken(
  transaction: Transaction,
  { generation }: WriteTarget,
  kind: UnknownKind,
  rows: readonly Taken[],
): Promise<unknown> {
  const optional = (value: (row: Taken) => number | boolean | null) =>
    toTextArray(rows, (row) => value(row)?.toString() ?? null)
  const columns: Column[] = [
    ...countColumns(rows),
    { name: 'position', type: 'bigint', text: toArray(rows, ({ position }) => position) },
    { name: 'group_id', type: 'bigint', text: optional(({ group }) => group) },
    { name: 'quota_tracked', type: 'text', text: optional(({ isTracked }) => isTracked) },
  ]
  return transaction`
    insert into unknown_taken
      (generation, position, kind, name, requests, flushes, group_id, quota_tracked)
    select
      ${generation}, f.position, ${kind}, f.name, f.requests, f.flushes, f.group_id,
      f.quota_tracked::boolean
    from ${unnest(transaction, columns)}`
}
