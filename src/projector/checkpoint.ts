import type { Sql } from '../db/pool.ts'
import { PROJECTIONS } from '../projections/index.ts'

/** How far the live generation of a projection has folded a shard. */
export type Checkpoint = { projection: string; generation: number; position: number }

/** Gives every projection a generation, and a checkpoint in every shard, where it has none yet. */
export async function createCheckpoints(sql: Sql): Promise<void> {
  for (const { name } of PROJECTIONS) {
    await sql`
      insert into projections (projection, generation) values (${name}, 1)
      on conflict (projection) do nothing`
    await sql`
      insert into checkpoints (shard, projection, generation, position, moved_at)
      select s.shard, ${name}, 1, -1, ${new Date()}
      from shards s
      where (select p.generation from projections p where p.projection = ${name}) = 1
      on conflict (shard, projection, generation) do nothing`
  }
}

/** The checkpoints of a shard's live generations, in the order of `PROJECTIONS`. */
export async function readCheckpoints(sql: Sql, shard: number): Promise<Checkpoint[]> {
  const rows = await sql<{ projection: string; generation: number; position: string }[]>`
    select c.projection, c.generation, c.position
    from checkpoints c
      join projections p on p.projection = c.projection and p.generation = c.generation
    where c.shard = ${shard}`
  return PROJECTIONS.map(({ name }) => {
    const row = rows.find(({ projection }) => projection === name)
    if (!row) throw new Error(`projection ${name} has no checkpoint in shard ${shard}`)
    return { projection: name, generation: row.generation, position: Number(row.position) }
  })
}
