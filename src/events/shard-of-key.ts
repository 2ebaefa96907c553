import { hash } from 'node:crypto'

/**
 * Returns the shard of an event with an idempotency key, so that a retry reaches the shard of its
 * first attempt: the first 12 hex digits (48 bits) of the SHA-256 of the source, a newline and the
 * key, modulo the number of shards.
 */
export function shardOfKey(source: string, idempotencyKey: string, shards: number): number {
  if (shards === 1) return 0
  const digest = hash('sha256', `${source}\n${idempotencyKey}`, 'hex')
  return Number.parseInt(digest.slice(0, 12), 16) % shards
}
