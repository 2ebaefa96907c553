import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/** The shards there are: 0 up to their number, and no event or tile of another. */
export async function checkShards(sql: Sql): Promise<Problem[]> {
  const rows = await sql<{ shard: number }[]>`select s.shard from shards s order by s.shard`
  const shards = rows.map(({ shard }) => shard)
  const others = async (table: string) => {
    const found = await findShards(sql, table)
    return found.filter((shard) => !shards.includes(shard)).map((shard) => ({ table, shard }))
  }
  const found = [
    ...(await others('events')),
    ...shards.filter((shard, i) => shard !== i).map((shard) => ({ table: 'shards', shard })),
    ...(await others('tiles')),
  ]
  return found.slice(0, MAX_PROBLEMS).map(({ table, shard }) => ({
    check: 'shards',
    at: `${table} ${shard}`,
    expected: 'a shard of this database',
    found: `${shard}`,
  }))
}

/** The distinct shards of a table, an index probe each, however many rows there are. */
async function findShards(sql: Sql, table: string): Promise<number[]> {
  const shards: number[] = []
  for (let from = LEAST; from <= MAX; from = shards.at(-1)! + 1) {
    const [row] = await sql<{ shard: number | null }[]>`
      select min(t.shard) as shard from ${sql(table)} t where t.shard >= ${from}`
    if (row!.shard === null) break
    shards.push(row!.shard)
  }
  return shards
}

/** The integers of PostgreSQL. */
const LEAST = -(2 ** 31)
const MAX = 2 ** 31 - 1

/** How far shard 0 was walked, and the last change of the catalog that was met there. */
export type CatalogWalk = { walked: number; lastChange: number }

/** The catalog of a shard: the last change, which the walk has met, and its hash. */
export async function checkCatalogPosition(
  sql: Transaction,
  shard: number,
  { walked, lastChange }: CatalogWalk,
): Promise<Problem[]> {
  const [row] = await sql<{ found: string; expected: string; sha256: string | null }[]>`
    select
      s.catalog_position as found,
      encode(s.catalog_sha256, 'hex') as sha256,
      greatest(${lastChange}::bigint, (
        -- What came since the walk. Not by the index of the changes, which could be wrong too.
        select max(e.position)
        from events e
        where e.shard = 0 and e.position > ${walked} and e.type || '' = 'CatalogChanged'
      )) as expected
    from shards s
    where s.shard = ${shard}`
  const { found, expected, sha256 } = row!
  const problem = { check: 'shards', at: `shards ${shard}` } as const
  if (found !== expected) {
    return [{ ...problem, expected: `catalog_position ${expected}`, found }]
  }
  // Older versions have not kept it.
  if (sha256 === null) return []
  const [change] = await sql<{ sha256: string }[]>`
    select encode(e.payload_sha256, 'hex') as sha256
    from events e
    where e.shard = 0 and e.position = ${expected}::bigint`
  if (change?.sha256 === sha256) return []
  return [{ ...problem, expected: `catalog_sha256 ${change?.sha256 ?? 'none'}`, found: sha256 }]
}

/** Position of the last change of the catalog in a chunk of shard 0; -1 where it has none. */
export async function readLastChange(
  sql: Transaction,
  { after, through }: { after: number; through: number },
): Promise<number> {
  const [row] = await sql<{ position: string }[]>`
    select coalesce(max(e.position), -1) as position
    from events e
    where e.shard = 0 and e.position > ${after} and e.position <= ${through}
      and e.type || '' = 'CatalogChanged'`
  return Number(row!.position)
}
