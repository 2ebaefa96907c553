import type { Sql } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'
import type { ProjectionTable } from './tables.ts'

/**
 * Finds rows of a shard or generation that does not exist. No reader sees them, and no projector
 * writes them.
 */
export async function checkOwners(
  sql: Sql,
  projection: string,
  table: Pick<ProjectionTable, 'name' | 'key' | 'isSharded'>,
): Promise<Problem[]> {
  const shard = !table.isSharded ? `'-'` : 't.shard'
  const rows = await sql.unsafe<{ key: string; generation: number }[]>(
    `
    select concat_ws('/', ${shard}, ${table.key.map((column) => `t.${column}`).join(', ')}) as key,
      t.generation
    from ${table.name} t
    -- An older generation is waiting to be dropped; a newer one is being rebuilt.
    where t.generation not in (
        select generate_series(1, p.generation) from projections p where p.projection = $1
        union all
        select r.generation from rebuilds r where r.projection = $1
      )
      ${table.isSharded ? 'or t.shard not in (select s.shard from shards s)' : ''}
    order by 1
    limit ${MAX_PROBLEMS}`,
    [projection],
  )
  return rows.map(({ key, generation }) => ({
    check: 'owners',
    at: `${table.name} ${key.replace(/^-\//, '')}`,
    expected: 'no row of a shard or generation that is not there',
    found: `a row of generation ${generation}`,
  }))
}
