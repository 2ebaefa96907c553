import { afterAll, beforeAll, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { positionOf } from '../support/events.ts'
import { createDatabaseOf } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// The shard that a flush goes to.

const SHARDS = 5
const FLUSH = { keys: [{ api_key_id: 1, requests: 1 }] }

let one: TestService
let other: TestService

beforeAll(async () => {
  const database = await createDatabaseOf(SHARDS)
  one = await startTestService({ database, shards: SHARDS })
  other = await startTestService({ database, shards: SHARDS })
})
afterAll(async () => {
  await other.stop()
  await one.end()
})

const post = async (service: TestService, key?: string) => {
  const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key }
  return service.post('/internal/apikey-stats/flush', FLUSH, headers)
}
const shardOf = (response: Response) => Number(positionOf(response).split('/')[0])

test('flushes of a lone client go to all shards in turn', async () => {
  const shards: number[] = []
  for (let i = 0; i < 2 * SHARDS; i++) shards.push(shardOf(await post(one)))
  expect(shards).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
})

test('a flush with a key goes to the shard of its hash, on every instance', async () => {
  const shards = new Set<number>()
  for (let i = 0; i < 25; i++) {
    const first = await post(one, `flush-${i}`)
    const digest = createHash('sha256').update(`dp\nflush-${i}`).digest('hex')
    expect(shardOf(first)).toBe(Number(BigInt(`0x${digest.slice(0, 12)}`) % BigInt(SHARDS)))
    shards.add(shardOf(first))
    const retry = await post(other, `flush-${i}`)
    expect(retry.headers.get('idempotency-replayed')).toBe('true')
    expect(positionOf(retry)).toBe(positionOf(first))
  }
  expect(shards.size).toBe(SHARDS)
})

test('concurrent flushes are appended once each, and the summary is their sum', async () => {
  await one.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  const posted = await Promise.all(
    Array.from({ length: 60 }, (_, i) => post(i % 2 === 0 ? one : other)),
  )
  const positions = posted.map(positionOf)
  expect(new Set(positions).size).toBe(60)
  expect(new Set(posted.map(shardOf)).size).toBeGreaterThan(1)
  expect(await other.read('/admin/apikey-stats/summary')).toMatchObject({ total_requests: 60 })
})
