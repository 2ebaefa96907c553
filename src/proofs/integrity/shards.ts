import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/** Checks that shards are numbered from 0 without gaps, and that no event or tile has another. */
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

/** Returns the distinct shards of a table, with one index probe each, whatever its size. */
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

/** The range of PostgreSQL's `integer`. */
const LEAST = -(2 ** 31)
const MAX = 2 ** 31 - 1

/** The position through which shard 0 was walked, and that of its last catalog change. */
export type CatalogWalk = { walked: number; lastChange: number }

/** Checks a shard's `catalog_position` and `catalog_sha256` against the last catalog change. */
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
        -- Changes since the walk, without the index of changes, which could be wrong too.
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
  // Older versions did not store it.
  if (sha256 === null) return []
  const [change] = await sql<{ sha256: string }[]>`
    select encode(e.payload_sha256, 'hex') as sha256
    from events e
    where e.shard = 0 and e.position = ${expected}::bigint`
  if (change?.sha256 === sha256) return []
  return [{ ...problem, expected: `catalog_sha256 ${change?.sha256 ?? 'none'}`, found: sha256 }]
}

/** Returns the position of the last catalog change in a chunk of shard 0; -1 if it has none. */
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
