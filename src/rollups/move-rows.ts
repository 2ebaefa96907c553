import { ACCOUNTS } from '../events/accounts.ts'
import type { Fragment, Sql, Transaction } from '../platform/postgres/pool.ts'
import { addToRow, listOf } from '../read-model/projections/account-sql.ts'
import { combinationKey, sumMeasures } from '../read-model/projections/detail-rows.ts'
import { TIMELY } from '../read-model/projections/rolled-up.ts'
import type { MovedTable } from './moved-tables.ts'

/** The measures of moved rows are not known here. */
const OF_ANY_LENGTH: [] = []

/** The rows of one generation in a shard. */
export type Rows = { shard: number; generation: number }

/** Condition on rows `u` of these. */
export const isOf = (sql: Sql | Transaction, { shard, generation }: Rows): Fragment =>
  sql`u.shard = ${shard} and u.generation = ${generation}`

/**
 * Moves the rows `u` that meet a condition to the table by days or months, and adds them up there,
 * at `position`. One statement: what a reader sees is the same before it and after it.
 */
export async function moveRows(
  transaction: Transaction,
  { kind, grain, from, to, hasParts }: MovedTable,
  rows: Rows,
  condition: Fragment,
  position: number = TIMELY,
): Promise<void> {
  const sql = transaction
  const shape = { ...ACCOUNTS[kind], maxima: [] }
  const id = sql(shape.id)
  const start = sql`date_trunc(${grain}, u.quarter, 'UTC')`
  const summed = listOf(
    sql,
    shape.sums.map((column) => `sum(m.${column})`),
  )
  const moved = sql`
    moved as (
      delete from ${sql(from)} u
      where ${isOf(sql, rows)} and ${condition}
      returning u.${id} as account, ${start} as quarter, ${listOf(sql, shape.sums, 'u')}
        ${hasParts ? sql`, u.combination, u.measures` : sql``}
    )`
  if (!hasParts) {
    await sql`
      with ${moved}
      insert into ${sql(to)} as t
        (shard, generation, ${id}, quarter, position, ${listOf(sql, shape.sums)})
      select ${rows.shard}::integer, ${rows.generation}::integer, m.account, m.quarter,
        ${position}::bigint, ${summed}
      from moved m
      group by m.account, m.quarter
      on conflict (generation, ${id}, quarter, shard, position) do update set
        ${addToRow(sql, shape, 't')}`
    return
  }
  await sql`
    with ${moved},
    sums as (
      select m.account, m.quarter, m.combination, ${listOf(
        sql,
        shape.sums.map((column) => `sum(m.${column}) as ${column}`),
      )}
      from moved m
      group by m.account, m.quarter, m.combination
    ),
    measured as (
      select v.account, v.quarter, v.combination, array_agg(v.value order by v.n) as measures
      from (
        select m.account, m.quarter, m.combination, x.n, sum(x.value) as value
        from moved m
          cross join lateral unnest(m.measures) with ordinality as x(value, n)
        group by m.account, m.quarter, m.combination, x.n
      ) v
      group by v.account, v.quarter, v.combination
    )
    insert into ${sql(to)} as t
      (shard, generation, ${id}, quarter, position, combination,
        ${listOf(sql, shape.sums)}, measures)
    select ${rows.shard}::integer, ${rows.generation}::integer, s.account, s.quarter,
      ${position}::bigint, s.combination, ${listOf(sql, shape.sums, 's')},
      coalesce(d.measures, '{}')
    from sums s
      left join measured d on d.account = s.account and d.quarter = s.quarter
        and d.combination = s.combination
    on conflict (generation, ${id}, quarter, shard, position, ${combinationKey(sql)})
    do update set ${addToRow(sql, shape, 't')}, ${sumMeasures(sql, 't', OF_ANY_LENGTH)}`
}
