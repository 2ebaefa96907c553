import type { Sql, Transaction } from '../../platform/postgres/pool.ts'

/** The events of a shard after `after`, up to and including `through`: one step of the walk. */
export type Chunk = { shard: number; after: number; through: number }

/** The limits of a step, which takes well under a second and little memory. */
export const LIMITS = { events: 5_000, bytes: 32 * 1024 * 1024 }

/**
 * Returns the chunk after `after`: as many events as a step may have, none after `limit`. Events
 * are counted by position, not by row, so that a log with gaps can be walked too.
 */
export async function nextChunk(
  sql: Sql | Transaction,
  shard: number,
  after: number,
  limit: number,
  limits = LIMITS,
): Promise<Chunk> {
  const end = Math.min(after + limits.events, limit)
  // PostgreSQL knows the size of a stored payload without fetching it.
  const [row] = await sql<{ through: string | null }[]>`
    select min(e.position) as through
    from (
      select
        e.position, sum(pg_column_size(e.payload)) over (order by e.position) as bytes
      from events e
      where e.shard = ${shard} and e.position > ${after} and e.position <= ${end}
    ) e
    where e.bytes >= ${limits.bytes}`
  return { shard, after, through: Number(row!.through ?? end) }
}
