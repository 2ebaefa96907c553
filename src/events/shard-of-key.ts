import { hash } from 'node:crypto'

/**
 * The shard of an event with an idempotency key, where there are so many: a retry meets its first
 * try there. The first 12 digits (48 bits) of the SHA-256, in hex, of the source, a newline and the
 * key, modulo the number of shards.
 */
export function shardOfKey(source: string, idempotencyKey: string, shards: number): number {
  if (shards === 1) return 0
  const digest = hash('sha256', `${source}\n${idempotencyKey}`, 'hex')
  return Number.parseInt(digest.slice(0, 12), 16) % shards
}
