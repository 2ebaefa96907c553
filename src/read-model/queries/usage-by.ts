import { ACCOUNTS } from '../../events/accounts.ts'
import { OTHER } from '../../events/details.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { listOf, totalOfRows } from '../projections/account-sql.ts'
import { columnOf, listMeasures, type Measure, sumsOfMeasures, toMeasured } from './measures.ts'
import type { Scope } from './scope.ts'
import { type Bucket, toUsed, type Usage, type UsedRow, usedColumns } from './usage.ts'

/** The values of the dimensions by which usage is divided; null for entries without one. */
export type Values = Record<string, string | null>

/** Usage of one bucket for some values of dimensions. */
export type DividedItem = Bucket & { dimensions: Values }

/** Usage by the values of dimensions, and in total. */
export type DividedUsage = { items: DividedItem[]; total: Usage['total'] }

/** Which values to keep apart, and how many items to read at most. */
export type Division = {
  /** One or two names of dimensions. */
  by: readonly string[]
  /** Values that are kept apart, the largest; the others are one, `other`. */
  values: number
  /** By what they are the largest: a column of the account's usage, or a measure. */
  largestBy: { column: string } | { measure: string }
  items: number
}

/** What a range holds: rows of all usage, and those of usage by combination. */
export type UsageSource = { usage: Fragment; parts: Fragment; measures: readonly Measure[] }

/** A read of the past would have to fold more events than it may. */
export class TooManyEvents extends Error {
  override name = 'TooManyEvents'
}

/** Values can't be ordered by what was asked for: the account does not count it. */
export class UnknownCount extends Error {
  override name = 'UnknownCount'
}

/** There are more items than were asked for. */
export class TooManyItems extends Error {
  override name = 'TooManyItems'
}

/**
 * Divides the usage of each bucket (see `readUsage`) by the values of one or two dimensions. Items
 * are ordered by bucket, then by the total of their values over the whole range, the largest first
 * and `other` last. They add up to the usage: what has none of these dimensions is the rest of it.
 * Throws TooManyItems and UnknownCount.
 */
export async function readUsageBy(
  transaction: Transaction,
  { kind }: Scope,
  { usage, parts, measures }: UsageSource,
  bounds: readonly string[],
  { by, values, items, largestBy }: Division,
): Promise<DividedItem[]> {
  const shape = { ...ACCOUNTS[kind], maxima: [] }
  const { sums } = shape
  const sql = transaction
  const size = sizeOf(largestBy, sums, measures)
  const names = by.map((_, i) => `v${i}`)
  const keys = (alias: string) => listOf(sql, names, alias)
  const allOf = (condition: (name: string) => string) =>
    sql.unsafe(names.map(condition).join(' and ')) as unknown as Fragment
  const isNone = (alias: string) => allOf((name) => `${alias}.${name} is null`)
  const isOther = (alias: string) => allOf((name) => `${alias}.${name} = '${OTHER}'`)
  const list = (format: (column: string) => string) => sql.unsafe(sums.map(format).join(', '))
  const none = sql.unsafe(names.map((name) => `null::text as ${name}`).join(', '))
  const bucket = sql`width_bucket(u.quarter, ${`{${bounds.join(',')}}`}::timestamptz[])`
  const isInRange = sql`
    u.quarter >= ${bounds[0]!}::timestamptz and u.quarter < ${bounds.at(-1)!}::timestamptz`
  const summed = (alias: string) => sql`
    ${totalOfRows(sql, shape, alias)}
    ${listMeasures(sql, measures, (column) => `sum(${alias}.${column}) as ${column}`)}`
  const isCounted = (alias: string) =>
    sql.unsafe(
      [...sums, ...measures.map(columnOf)].map((column) => `${alias}.${column} <> 0`).join(' or '),
    )
  const valuesOf = by
    .map((name, i) => sql`c.combination::json->>${name}::text as ${sql(names[i]!)}`)
    .reduce((all, one) => sql`${all}, ${one}`)
  const rows = await sql<
    (UsedRow & Record<string, string | null> & { bucket: number; size: string })[]
  >`
    with s as (
      select ${bucket} as bucket, u.combination, ${totalOfRows(sql, shape, 'u')}
        ${sumsOfMeasures(sql, measures, 'u')}
      from (${parts}) u
      where ${isInRange}
      group by 1, 2
    ),
    -- What was taken back, or came after the time of the read, takes no place.
    c as (select s.* from s where ${isCounted('s')}),
    p as (
      select c.bucket, ${valuesOf}, ${listOf(sql, sums, 'c')}
        ${listMeasures(sql, measures, (column) => `c.${column}`)}
      from c
    ),
    r as (
      select p.* from p where not (${isNone('p')})
      union all
      select p.bucket, ${none}, ${list((column) => `-p.${column}`)}
        ${listMeasures(sql, measures, () => '0')}
      from p
      where not (${isNone('p')})
      union all
      select p.bucket, ${none}, ${list(() => '0')}
        ${listMeasures(sql, measures, (column) => `p.${column}`)}
      from p
      where ${isNone('p')}
      union all
      select ${bucket}, ${none}, ${listOf(sql, sums, 'u')} ${listMeasures(sql, measures, () => '0')}
      from (${usage}) u
      where ${isInRange}
    ),
    t as (
      select ${keys('r')}
      from r
      where not (${isNone('r')}) and (${isOther('r')}) is not true
      group by ${keys('r')}
      order by sum(${sql.unsafe(size('r'))}) desc, ${keys('r')}
      limit ${values}
    ),
    g as (
      select r.bucket, ${sql.unsafe(
        names
          .map((name) => `case when k.is_kept then r.${name} else '${OTHER}' end as ${name}`)
          .join(', '),
      )}, ${listOf(sql, sums, 'r')}
        ${listMeasures(sql, measures, (column) => `r.${column}`)}
      from r
        left join t on ${
          // No value is empty. "is not distinct from" could not be a hash join.
          allOf((name) => `coalesce(t.${name}, '') = coalesce(r.${name}, '')`)
        }
        cross join lateral (
          select (${isNone('r')}) or ${sql.unsafe(
            `${names.map((name) => `t.${name} is not null`).join(' or ')}`,
          )} as is_kept
        ) k
    ),
    n as (
      select g.bucket, ${keys('g')}, ${summed('g')} from g group by g.bucket, ${keys('g')}
    )
    select n.bucket, (${sql.unsafe(size('n'))})::text as size, ${keys('n')},
      ${usedColumns(sql, kind)}
      ${listMeasures(sql, measures, (column) => `n.${column}`)}
    from n
    where ${isCounted('n')}
    limit ${items + 1}`
  if (rows.length > items) throw new TooManyItems()
  const found = rows.map((row) => {
    const used = toUsed(row)
    const dimensions = Object.fromEntries(by.map((name, i) => [name, row[names[i]!] ?? null]))
    return {
      ...{ bucket: row.bucket, size: BigInt(row.size) },
      item: {
        ...{ from: bounds[row.bucket - 1]!, to: bounds[row.bucket]!, dimensions, ...used },
        ...(measures.length > 0 && {
          measures: toMeasured(measures, (measure) => row[columnOf(measure)]),
        }),
      },
    }
  })
  return sortByTotal(found)
}

type Found = { bucket: number; size: bigint; item: DividedItem }

/** Sorts by bucket, then by the total of the values in all buckets; `other` comes last. */
function sortByTotal(found: Found[]): DividedItem[] {
  const totals = new Map<string, bigint>()
  const keyOf = ({ item }: Found) => JSON.stringify(Object.values(item.dimensions))
  for (const one of found) {
    totals.set(keyOf(one), (totals.get(keyOf(one)) ?? 0n) + one.size)
  }
  const ranks = new Map(
    [...totals.keys()]
      .sort((a, b) => {
        const [isOtherA, isOtherB] = [isAllOther(a), isAllOther(b)]
        if (isOtherA !== isOtherB) return isOtherA ? 1 : -1
        const [totalA, totalB] = [totals.get(a)!, totals.get(b)!]
        if (totalA !== totalB) return totalA > totalB ? -1 : 1
        return a < b ? -1 : 1
      })
      .map((key, rank) => [key, rank]),
  )
  const rankOf = (one: Found) => ranks.get(keyOf(one))!
  return found.sort((a, b) => a.bucket - b.bucket || rankOf(a) - rankOf(b)).map(({ item }) => item)
}

const isAllOther = (key: string) =>
  (JSON.parse(key) as (string | null)[]).every((value) => value === OTHER)

/** Returns the SQL of what makes rows of an alias large. Throws UnknownCount. */
function sizeOf(
  largestBy: Division['largestBy'],
  sums: readonly string[],
  measures: readonly Measure[],
): (alias: string) => string {
  if ('measure' in largestBy) {
    const measure = measures.find(({ name }) => name === largestBy.measure)
    if (measure === undefined) throw new UnknownCount()
    return (alias) => `${alias}.${columnOf(measure)}`
  }
  const { column } = largestBy
  if (column === 'failures' && sums.includes('successes')) {
    return (alias) => `${alias}.requests - ${alias}.successes`
  }
  if (!sums.includes(column)) throw new UnknownCount()
  return (alias) => `${alias}.${column}`
}
