import type { Sql, Transaction } from '../db/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/** The shards there are: 0 up to their number, and no event or tile of another. */
export async function checkShards(sql: Sql): Promise<Problem[]> {
  const rows = await sql<{ table: string; shard: number }[]>`
    select s.table, s.shard
    from (
      select 'shards' as table, s.shard, row_number() over (order by s.shard) - 1 as expected
      from shards s
      union all
      select e.table, e.shard, null
      from (${loose(sql, 'events')} union all ${loose(sql, 'tiles')}) e
      where not exists (select from shards s where s.shard = e.shard)
    ) s
    where s.shard is distinct from s.expected
    order by 1, 2
    limit ${MAX_PROBLEMS}`
  return rows.map(({ table, shard }) => ({
    check: 'shards',
    at: `${table} ${shard}`,
    expected: 'a shard of this database',
    found: `${shard}`,
  }))
}

/** The distinct shards of a table, an index probe each, however many rows there are. */
function loose(sql: Sql, table: string) {
  return sql`(
    with recursive s as (
      (select shard from ${sql(table)} order by shard limit 1)
      union all
      select (
        select t.shard from ${sql(table)} t where t.shard > s.shard order by t.shard limit 1
      )
      from s
      where s.shard is not null
    )
    select ${table} as table, s.shard from s where s.shard is not null
  )`
}

/** How far shard 0 was walked, and the last change of the catalog that was met there. */
export type CatalogWalk = { walked: number; lastChange: number }

/** The catalog's position on a shard: that of the last change, which the walk has met. */
export async function checkCatalogPosition(
  sql: Transaction,
  shard: number,
  { walked, lastChange }: CatalogWalk,
): Promise<Problem[]> {
  const [row] = await sql<{ found: string; expected: string }[]>`
    select
      s.catalog_position as found,
      greatest(${lastChange}::bigint, (
        -- What came since the walk. Not by the index of the changes, which could be wrong too.
        select max(e.position)
        from events e
        where e.shard = 0 and e.position > ${walked} and e.type || '' = 'CatalogChanged'
      )) as expected
    from shards s
    where s.shard = ${shard}`
  if (row!.found === row!.expected) return []
  return [
    {
      check: 'shards',
      at: `shards ${shard}`,
      expected: `catalog_position ${row!.expected}`,
      found: row!.found,
    },
  ]
}

/** Position of the last change of the catalog in a chunk of shard 0; -1 where it has none. */
export async function readLastChange(
  sql: Transaction,
  { after, upto }: { after: number; upto: number },
): Promise<number> {
  const [row] = await sql<{ position: string }[]>`
    select coalesce(max(e.position), -1) as position
    from events e
    where e.shard = 0 and e.position > ${after} and e.position <= ${upto}
      and e.type || '' = 'CatalogChanged'`
  return Number(row!.position)
}
