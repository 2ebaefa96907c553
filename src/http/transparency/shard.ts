import type { Reads } from '../../cluster/replicas/reads.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { MissingTile } from '../../proofs/transparency/tiles.ts'
import { Problem } from '../problem.ts'

/** The shard that a path or query names, 0 where it names none; throws the problem 404. */
export function shardOf(text: string | undefined, shards: number): number {
  const shard = Number(text ?? 0)
  if (shard < shards) return shard
  throw new Problem(404, 'not found', `There is no shard ${shard}.`)
}

/** What is read from tiles; the problem 404 where the tree isn't (yet) as large. */
export async function findInTiles<Value>(
  reads: Reads,
  read: (sql: Sql) => Promise<Value>,
): Promise<Value> {
  const found = await reads.find((sql) => orNull(read(sql)))
  if (found === null) throw new Problem(404, 'not found', 'No tree is as large.')
  return found
}

async function orNull<Value>(reading: Promise<Value>): Promise<Value | null> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof MissingTile) return null
    throw error
  }
}
