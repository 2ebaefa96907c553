import type { Positions } from '../../events/positions.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import { createCheckpoints, readCheckpoints } from './checkpoint.ts'
import { GROUPS, type ProjectionGroup } from './projection-groups.ts'
import { CheckpointMoved, ShardFold } from './shard-fold.ts'

/**
 * Folds the log through `heads` into the live projections, so that they are ready when a service
 * starts. If a service is running, both share the work: checkpoints admit one writer at a time.
 * Each batch is atomic: after a kill or an abort, the next projector continues after the last one.
 */
export async function foldLog(
  { project }: Pools,
  heads: Positions,
  signal: AbortSignal,
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  await createCheckpoints(project)
  const total = GROUPS.length * heads.reduce((sum, head) => sum + head + 1, 0)
  let folded = 0
  const onBatch = (events: number) => {
    folded += events
    onProgress(folded, total)
  }
  for (const { make } of GROUPS) {
    for (const [shard, head] of heads.entries()) {
      while (!(await foldShard(make(shard), shard, head))) signal.throwIfAborted()
    }
  }

  /** Returns false if another projector was faster: the checkpoints have then moved on. */
  async function foldShard(group: ProjectionGroup, shard: number, head: number): Promise<boolean> {
    const { checkpoints } = await readCheckpoints(project, shard, group.projections)
    const fold = new ShardFold(project, shard, group, checkpoints)
    try {
      if (group.flushIntervalMs === Number.POSITIVE_INFINITY)
        await fold.foldFullBatches(head, onBatch, signal)
      else await fold.foldUntil(head, onBatch, signal)
      return true
    } catch (error) {
      if (error instanceof CheckpointMoved) return false
      throw error
    }
  }
}
