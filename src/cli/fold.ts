import type { Pools } from '../db/pool.ts'
import { createCheckpoints, readCheckpoints } from '../projector/checkpoint.ts'
import { Pass } from '../projector/pass.ts'

/**
 * Folds shards up to `heads` into the live projections, for a service that doesn't run: it finds
 * them ready. Where one runs they share the work, as its checkpoints let one write at a time.
 * Killed or aborted: every pass is whole, and the next projector goes on after it.
 */
export async function foldLog(
  { project }: Pools,
  heads: readonly number[],
  signal: AbortSignal,
  onProgress: (events: number) => void,
): Promise<void> {
  await createCheckpoints(project)
  let before = 0
  for (const [shard, head] of heads.entries()) {
    for (;;) {
      const pass = new Pass(shard, await readCheckpoints(project, shard))
      onProgress(before + Math.min(pass.position, head) + 1)
      if (pass.position >= head) break
      signal.throwIfAborted()
      await pass.readNew(project)
      // Not written where another projector was faster: then the checkpoints are further on.
      await pass.write(project)
    }
    before += head + 1
  }
}
