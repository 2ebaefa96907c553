import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'
import type { RefoldTable, Target } from './refold.ts'

/**
 * Rows of a projection's table that differ from those folded here (in `folded`, `refold_<name>` if
 * absent): missing and extra ones too.
 */
export async function compareTable(
  sql: Sql | Transaction,
  table: Pick<RefoldTable, 'name' | 'columns' | 'key' | 'isSharded' | 'comparedWhere'>,
  { shard, generation }: Target,
  folded = `refold_${table.name}`,
): Promise<Problem[]> {
  const { name, key, isSharded, comparedWhere = 'true' } = table
  const values = Object.keys(table.columns).filter((column) => !key.includes(column))
  const valuesOf = (alias: string) => values.map((value) => `${alias}.${value}`).join(', ')
  const textOf = (alias: string) =>
    `case when ${alias}.is_there then
      (select row_to_json(v)::text from (select ${valuesOf(alias)}) v)
    end`
  const rows = await sql.unsafe<CompareRow[]>(
    `
    select concat_ws('/', ${key.join(', ')}) as key, ${textOf('r')} as expected,
      ${textOf('f')} as found
    from (select true as is_there, r.* from ${folded} r) r
      full join (
        select true as is_there, f.*
        from ${name} f
        where f.generation = $1 ${isSharded ? 'and f.shard = $2' : ''} and ${comparedWhere}
      ) f using (${key.join(', ')})
    where (r.is_there, ${valuesOf('r')}) is distinct from (f.is_there, ${valuesOf('f')})
    order by ${key.join(', ')}
    limit ${MAX_PROBLEMS}`,
    isSharded ? [generation, shard] : [generation],
  )
  return rows.map(({ key: at, expected, found }) => ({
    check: 'refold',
    at: `${name} ${isSharded ? `${shard}/` : ''}${at}`,
    expected: expected ?? 'no row',
    found: found ?? 'no row',
  }))
}

type CompareRow = { key: string; expected: string | null; found: string | null }
