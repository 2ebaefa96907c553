import type { Sql, Transaction } from '../db/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/** Where the live generation of a projection stands in a shard. */
export type Standing = { generation: number; position: number }

/** A projection that there should be, and the version of its fold. */
type Known = { projection: string; version: number }

/**
 * Every live generation's checkpoint in one shard, by projection; those left out that another
 * version has folded.
 */
export async function readStandings(
  sql: Sql | Transaction,
  shard: number,
  known: readonly Known[],
): Promise<Map<string, Standing>> {
  const rows = await sql<{ projection: string; generation: number; position: string }[]>`
    select c.projection, c.generation, c.position
    from checkpoints c
      join projections p on p.projection = c.projection and p.generation = c.generation
      join ${listOf(sql, known)} on k.projection = p.projection and k.version = p.version
    where c.shard = ${shard}`
  return new Map(
    rows.map(({ projection, generation, position }) => [
      projection,
      { generation, position: Number(position) },
    ]),
  )
}

/**
 * What was found in a generation's rows while it was live. Once a rebuild has replaced it they are
 * taken away, and nothing about them is a problem.
 */
export async function whileLive(
  sql: Sql | Transaction,
  projection: string,
  generation: number,
  problems: Problem[],
): Promise<Problem[]> {
  if (problems.length === 0) return []
  const rows = await sql`
    select from projections p
    where p.projection = ${projection} and p.generation = ${generation}`
  return rows.length > 0 ? problems : []
}

/**
 * The projections are those there should be, each live generation has a checkpoint in every shard,
 * none is ahead of the log, and none belongs to a generation, shard or projection that isn't there.
 */
export async function checkCheckpoints(sql: Sql, known: readonly Known[]): Promise<Problem[]> {
  const rows = await sql<{ at: string; expected: string; found: string }[]>`
    select 'projections ' || projection as at,
      case when k.version is null then 'no such projection' else 'version ' || k.version end
        as expected,
      case when p.version is null then 'no row' else 'version ' || p.version end as found
    from ${listOf(sql, known)}
      full join projections p using (projection)
    where k.version is distinct from p.version
      -- Another version's rows are being replaced.
      and not exists (
        select from rebuilds r
        where r.projection = p.projection and r.state in ('waiting', 'folding', 'comparing')
      )
    union all
    select 'projections ' || p.projection, 'a generation with checkpoints',
      'generation ' || p.generation
    from projections p
    where not exists (
      select from checkpoints c
      where c.projection = p.projection and c.generation = p.generation
    )
    union all
    select concat('checkpoints ', s.shard, '/', p.projection, '/', p.generation),
      'a checkpoint', 'no row'
    from projections p
      cross join shards s
    where not exists (
      select from checkpoints c
      where c.shard = s.shard and c.projection = p.projection and c.generation = p.generation
    )
    union all
    select concat('checkpoints ', c.shard, '/', c.projection, '/', c.generation),
      case when c.generation = p.generation and s.shard is not null
        then concat('a position up to ', coalesce(h.head, -1))
        else 'no checkpoint of a shard or generation that is not there' end,
      concat('position ', c.position)
    from checkpoints c
      left join projections p on p.projection = c.projection
      left join shards s on s.shard = c.shard
      left join lateral (
        select max(e.position) as head from events e where e.shard = c.shard
      ) h on true
    where c.position > coalesce(h.head, -1)
      or s.shard is null
      or p.generation is null
      or c.generation <> p.generation and not exists (
        select from rebuilds r
        where r.projection = c.projection and r.generation = c.generation
      )
    limit ${MAX_PROBLEMS}`
  return rows.map((row) => ({ check: 'checkpoints', ...row }))
}

const listOf = (sql: Sql | Transaction, known: readonly Known[]) => sql`
  unnest(
    string_to_array(${known.map(({ projection }) => projection).join(' ')}, ' '),
    string_to_array(${known.map(({ version }) => version).join(' ')}, ' ')::integer[]
  ) as k(projection, version)`
