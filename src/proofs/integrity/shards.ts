import { ACT_TYPES, type LastDecisions } from '../../events/act.ts'
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

/** The position through which shard 0 was walked, and what was found there. */
export type Shard0Walk = { walked: number; last: LastDecisions }

/** Checks a shard's `catalog_position` and `catalog_sha256` against the last catalog change. */
export async function checkCatalogPosition(
  sql: Transaction,
  shard: number,
  { walked, last }: Shard0Walk,
): Promise<Problem[]> {
  const [row] = await sql<{ found: string; expected: string; sha256: string | null }[]>`
    select
      s.catalog_position as found,
      encode(s.catalog_sha256, 'hex') as sha256,
      greatest(${last.change}::bigint, (
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

/** Checks a shard's `act_position` against the last act, which is in shard 0. */
export async function checkActPosition(
  sql: Transaction,
  shard: number,
  { walked, last }: Shard0Walk,
): Promise<Problem[]> {
  const [row] = await sql<{ found: string; since: string | null }[]>`
    select s.act_position as found, (
      select max(e.position)
      from events e
      where e.shard = 0 and e.position > ${walked} and e.type in ${sql(ACT_TYPES)}
    ) as since
    from shards s
    where s.shard = ${shard}`
  const { found, since } = row!
  const expected = shard === 0 ? (since ?? String(last.act)) : '-1'
  if (found === expected) return []
  return [{ check: 'shards', at: `shards ${shard}`, expected: `act_position ${expected}`, found }]
}

/** Returns the positions of the last catalog change and the last act in a chunk of shard 0. */
export async function readLastDecisions(
  sql: Sql | Transaction,
  { after, through }: { after: number; through: number },
): Promise<LastDecisions> {
  const [row] = await sql<{ change: string; act: string }[]>`
    select
      coalesce(max(e.position) filter (where e.type = 'CatalogChanged'), -1) as change,
      coalesce(max(e.position) filter (where e.type in ${sql(ACT_TYPES)}), -1) as act
    from events e
    where e.shard = 0 and e.position > ${after} and e.position <= ${through}`
  return { change: Number(row!.change), act: Number(row!.act) }
}
