/** How the instances on a database share its shards (src/cluster/), as far as projectors care. */
export type Sharing = {
  /** True where this instance is the one that folds the shard, and others stand by. */
  owns(shard: number): boolean
  /** Tells the one that does that a reader waits here. */
  requestCatchUp(request: { shard: number; group: string; position: number }): void
}

/** That of a projector that knows of no other. */
export const ALONE: Sharing = { owns: () => true, requestCatchUp: () => {} }
