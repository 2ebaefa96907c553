import type { Positions } from '../../events/positions.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import { createCheckpoints, readCheckpoints } from './checkpoint.ts'
import { GROUPS, type ProjectionGroup } from './projection-groups.ts'
import { CheckpointMoved, ShardFold } from './shard-fold.ts'

/**
 * Folds shards up to `heads` into the live projections, for a service that doesn't run: it finds
 * them ready. Where one runs they share the work, as its checkpoints let one write at a time.
 * Killed or aborted: every pass is whole, and the next projector goes on after it.
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

  /** False where another projector was faster: then the checkpoints are further on. */
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
