import type { Reads } from '../../cluster/replicas/reads.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { MissingTile } from '../../proofs/transparency/tiles.ts'
import { Problem } from '../problem.ts'

/** Returns the shard that a path or query names, 0 by default. Throws problem 404 if unknown. */
export function shardOf(text: string | undefined, shards: number): number {
  const shard = Number(text ?? 0)
  if (shard < shards) return shard
  throw new Problem(404, 'not found', `Shard ${shard} does not exist.`)
}

/** Reads from the tiles. Throws problem 404 if the tree has not grown that large. */
export async function findInTiles<Value>(
  reads: Reads,
  read: (sql: Sql) => Promise<Value>,
): Promise<Value> {
  const found = await reads.find((sql) => orNull(read(sql)))
  if (found !== null) return found
  throw new Problem(404, 'not found', 'The tree has not grown to this size yet.')
}

async function orNull<Value>(reading: Promise<Value>): Promise<Value | null> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof MissingTile) return null
    throw error
  }
}
