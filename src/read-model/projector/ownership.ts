/**
 * How the instances on a database share its shards (src/cluster/), as far as projectors need to
 * know.
 */
export type ShardOwnership = {
  /** True if this instance folds the shard; the others are on standby for it. */
  owns(shard: number): boolean
  /** Notifies the shard's owner that a reader waits on this instance. */
  requestCatchUp(request: { shard: number; group: string; position: number }): void
}

/** For a projector that runs alone: it owns every shard. */
export const OWNS_ALL: ShardOwnership = { owns: () => true, requestCatchUp: () => {} }
