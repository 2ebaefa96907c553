import { hash } from 'node:crypto'

/** Returns a key of the source `dp` that belongs to this shard: hash(source, key) mod shards. */
export function keyOfShard(shard: number, shards: number, name: string): string {
  for (let i = 0; ; i++) {
    const key = `${name}-${i}`
    const digest = hash('sha256', `dp\n${key}`, 'hex')
    if (Number.parseInt(digest.slice(0, 12), 16) % shards === shard) return key
  }
}
