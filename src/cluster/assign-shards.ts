import { createHash } from 'node:crypto'

/**
 * Returns the owner of each shard: every instance owns the same number of shards, or one more, and
 * every caller computes the same assignment. When an instance joins or leaves, most shards keep
 * their owner: each shard prefers instances in an order of its own (rendezvous hashing), and goes
 * to the first that is not full.
 */
export function assignShards(shards: number, instances: readonly string[]): string[] {
  const fair = Math.floor(shards / instances.length)
  const counts = new Map(instances.map((id) => [id, 0]))
  let extra = shards % instances.length
  return Array.from({ length: shards }, (_, shard) => {
    for (const id of byPreference(shard, instances)) {
      const count = counts.get(id)!
      if (count > fair || (count === fair && extra === 0)) continue
      if (count === fair) extra--
      counts.set(id, count + 1)
      return id
    }
    throw new Error('no instance has room for the shard')
  })
}

function byPreference(shard: number, instances: readonly string[]): string[] {
  return instances
    .map((id) => ({ id, score: createHash('sha256').update(`${shard} ${id}`).digest('hex') }))
    .sort((a, b) => (a.score < b.score ? 1 : -1))
    .map(({ id }) => id)
}
