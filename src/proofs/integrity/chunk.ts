import type { Sql, Transaction } from '../../platform/postgres/pool.ts'

/** Events of a shard behind `after`, up to `upto`: what one step of the walk looks at. */
export type Chunk = { shard: number; after: number; through: number }

/** A step's bounds: it takes well under a second, and its memory stays small. */
const CHUNK_EVENTS = 5_000
const CHUNK_BYTES = 32 * 1024 * 1024

/**
 * The chunk behind `after`: as many events as a step may have, none behind `limit`. By positions,
 * not by rows, so that a log with holes is walked too.
 */
export async function nextChunk(
  sql: Sql | Transaction,
  shard: number,
  after: number,
  limit: number,
): Promise<Chunk> {
  const end = Math.min(after + CHUNK_EVENTS, limit)
  // The size of a stored payload is known without fetching it.
  const [row] = await sql<{ through: string | null }[]>`
    select min(e.position) as upto
    from (
      select
        e.position, sum(pg_column_size(e.payload)) over (order by e.position) as bytes
      from events e
      where e.shard = ${shard} and e.position > ${after} and e.position <= ${end}
    ) e
    where e.bytes >= ${CHUNK_BYTES}`
  return { shard, after, through: Number(row!.through ?? end) }
}
