import { hash } from 'node:crypto'

/** An idempotency key that leads to this shard, as DESIGN has it: hash(source, key) mod shards. */
export function keyOfShard(shard: number, shards: number, name: string): string {
  for (let i = 0; ; i++) {
    const key = `${name}-${i}`
    const digest = hash('sha256', `dp\n${key}`, 'hex')
    if (Number.parseInt(digest.slice(0, 12), 16) % shards === shard) return key
  }
}
