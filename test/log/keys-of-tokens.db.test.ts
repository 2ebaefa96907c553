import { expect, test } from 'bun:test'
import { shardOfKey } from '../../src/events/shard-of-key.ts'
import { countFlushes } from '../support/events.ts'
import { useLog } from '../support/log.ts'
import { TEST_SHARDS } from '../support/server.ts'

// An idempotency key belongs to its token, even if two tokens use the same key in one shard.

const KEY = 'a key'
const [FIRST, SECOND, THIRD] = tokensOfShard(0) as [string, string, string]

const log = useLog()

/** Returns the names of three tokens whose flushes with the key go to this shard. */
function tokensOfShard(shard: number): string[] {
  const names = Array.from({ length: 100 * TEST_SHARDS }, (_, i) => `token-${i}`)
  return names.filter((name) => shardOfKey(name, KEY, TEST_SHARDS) === shard).slice(0, 3)
}

const flush = (source: string, requests: number) => log.flush(1, requests, { source, key: KEY })

test('flushes of two tokens with one key count once each while both are in flight', async () => {
  const attempts = [FIRST, SECOND, FIRST].map((token) => flush(token, 1))
  const [first, second, again] = await Promise.all(attempts)
  expect(first).toMatchObject({ kind: 'appended', replayed: false })
  expect(second).toMatchObject({ kind: 'appended', replayed: false })
  expect(again).toEqual({ ...first!, replayed: true } as never)
  expect(await countFlushes(log.database.owner)).toBe(2)
})

test('a stored key of another token is not a reuse, whatever the entries', async () => {
  expect(await flush(THIRD, 2)).toMatchObject({
    kind: 'appended',
    replayed: false,
  })
  expect(await flush(THIRD, 3)).toEqual({ kind: 'key_reused' })
  expect(await countFlushes(log.database.owner)).toBe(3)
})
