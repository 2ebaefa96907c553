import { expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { shardOfKey } from '../../src/events/shard-of-key.ts'

// Existing logs rely on it: with another shard, a retry would count again.

test('the shard of a key never changes', () => {
  // a1139d7bb0d2…: printf 'dp\nflush-1' | sha256sum
  const shards = [1, 2, 4, 8, 64].map((count) => shardOfKey('dp', 'flush-1', count))
  expect(shards).toEqual([0, 0, 2, 2, 18])
})

test('the first 48 bits of the digest determine the shard, whatever the number of shards', () => {
  for (let i = 0; i < 200; i++) {
    const digest = createHash('sha256')
      .update(`gateway ${i % 3}\nkey ${i}`)
      .digest()
    for (const shards of [1, 2, 3, 4, 64, 1_000]) {
      const expected = digest.readUIntBE(0, 6) % shards
      expect(shardOfKey(`gateway ${i % 3}`, `key ${i}`, shards)).toBe(expected)
    }
  }
})
