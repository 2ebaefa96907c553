import { createHash } from 'node:crypto'

/**
 * Which of these instances tends each shard: as many shards each, or one more, and the same whoever
 * asks. When one comes or goes, most shards stay where they are: each prefers instances in an order
 * of its own (rendezvous hashing), and goes to the first that has none too many.
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
    throw new Error('no instance is left')
  })
}

function byPreference(shard: number, instances: readonly string[]): string[] {
  return instances
    .map((id) => ({ id, score: createHash('sha256').update(`${shard} ${id}`).digest('hex') }))
    .sort((a, b) => (a.score < b.score ? 1 : -1))
    .map(({ id }) => id)
}
