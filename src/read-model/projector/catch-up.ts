import type { Positions } from '../../events/positions.ts'
import type { Pools } from '../../platform/postgres/pool.ts'
import { createCheckpoints, readCheckpoints } from './checkpoint.ts'
import { TRACKS, type Track } from './groups.ts'
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
  const total = TRACKS.length * heads.reduce((sum, head) => sum + head + 1, 0)
  let folded = 0
  const onPass = (events: number) => {
    folded += events
    onProgress(folded, total)
  }
  for (const { make } of TRACKS) {
    for (const [shard, head] of heads.entries()) {
      while (!(await foldShard(make(shard), shard, head))) signal.throwIfAborted()
    }
  }

  /** False where another projector was faster: then the checkpoints are further on. */
  async function foldShard(track: Track, shard: number, head: number): Promise<boolean> {
    const { checkpoints } = await readCheckpoints(project, shard, track.projections)
    const fold = new ShardFold(project, shard, track, checkpoints)
    try {
      if (track.waitMs === Number.POSITIVE_INFINITY) await fold.foldFull(head, onPass, signal)
      else await fold.foldTo(head, onPass, signal)
      return true
    } catch (error) {
      if (error instanceof CheckpointMoved) return false
      throw error
    }
  }
}
