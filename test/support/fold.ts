import type { Sql } from '../../src/platform/postgres/pool.ts'
import { PROJECTIONS } from '../../src/read-model/projections/index.ts'
import type { Projection } from '../../src/read-model/projections/projection.ts'
import { type Checkpoint, readCheckpoints } from '../../src/read-model/projector/checkpoint.ts'
import { FoldBatch } from '../../src/read-model/projector/fold-batch.ts'

/** Folds everything after these checkpoints as one batch. */
export async function foldOnce(
  sql: Sql,
  shard: number,
  checkpoints: Checkpoint[],
  projections: readonly Projection[] = PROJECTIONS,
) {
  const batch = new FoldBatch(shard, projections, checkpoints)
  await batch.readFromLog(sql, { readEvents: 5_000, isEnough: () => false })
  const written = await batch.write(sql)
  return { written, position: batch.position, events: batch.events }
}

/** Reads the checkpoints of a shard's live generations. */
export async function checkpointsOf(
  sql: Sql,
  shard: number,
  projections: readonly Projection[] = PROJECTIONS,
): Promise<Checkpoint[]> {
  return (await readCheckpoints(sql, shard, projections)).checkpoints
}
