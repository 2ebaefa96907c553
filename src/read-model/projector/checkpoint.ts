import { type Sql, type Transaction, transact } from '../../platform/postgres/pool.ts'
import { PROJECTIONS } from '../projections/index.ts'
import type { Projection } from '../projections/projection.ts'

/**
 * The last position of a shard that a generation of a projection has folded; -1 before the first.
 */
export type Checkpoint = { projection: string; generation: number; position: number }

/**
 * Creates the first generation of every projection that has none, with a checkpoint in every shard.
 */
export async function createCheckpoints(sql: Sql): Promise<void> {
  await transact(sql, '', async (transaction) => {
    for (const { name, version } of PROJECTIONS) {
      const [made] = await transaction`
        insert into projections (projection, generation, version) values (${name}, 1, ${version})
        on conflict (projection) do nothing
        returning generation`
      if (made) await insertCheckpoints(transaction, name, 1)
    }
  })
}

/** Inserts the checkpoints of a generation that has folded nothing yet, one per shard. */
export async function insertCheckpoints(
  sql: Sql | Transaction,
  projection: string,
  generation: number,
): Promise<void> {
  await sql`
    insert into checkpoints (shard, projection, generation, position)
    select s.shard, ${projection}, ${generation}, -1
    from shards s
    on conflict (shard, projection, generation) do nothing`
}

/**
 * Checkpoints of live generations. `isNewer`: a newer release made one of them, and only that
 * release may fold it.
 */
export type LiveCheckpoints = { checkpoints: Checkpoint[]; isNewer: boolean }

/** Reads the checkpoints of a shard's live generations, in the order of `projections`. */
export async function readCheckpoints(
  sql: Sql | Transaction,
  shard: number,
  projections: readonly Projection[],
): Promise<LiveCheckpoints> {
  const rows = await sql<CheckpointRow[]>`
    select p.projection, p.generation, p.version, c.position
    from checkpoints c
      join projections p on p.projection = c.projection and p.generation = c.generation
    where c.shard = ${shard}`
  const checkpoints: Checkpoint[] = []
  let isNewer = false
  for (const { name, version } of projections) {
    const row = rows.find(({ projection }) => projection === name)
    if (!row) throw new Error(`projection ${name} has no checkpoint in shard ${shard}`)
    if (row.version > version) isNewer = true
    const { generation, position } = row
    checkpoints.push({ projection: name, generation, position: Number(position) })
  }
  return { checkpoints, isNewer }
}

/** True if every live generation was made by this release's fold version, or a newer one. */
export async function areCurrent(sql: Sql): Promise<boolean> {
  const rows = await sql<{ projection: string; version: number }[]>`
    select p.projection, p.version from projections p`
  return PROJECTIONS.every(
    ({ name, version }) =>
      (rows.find(({ projection }) => projection === name)?.version ?? 0) >= version,
  )
}

type CheckpointRow = {
  projection: string
  generation: number
  version: number
  position: string
}

/** Returns how many shards the database was created with. */
export async function readShards(sql: Sql): Promise<number> {
  const [row] = await sql<{ shards: number }[]>`select count(*)::integer as shards from shards`
  return row!.shards
}
