import { beforeEach, describe, expect, test } from 'bun:test'
import { positionOf } from '../support/events.ts'
import { SubscribedStream } from '../support/follow.ts'
import { keyOfShard } from '../support/keys.ts'
import { keepDatabase } from '../support/rewind.ts'
import { type TestService, useInstances } from '../support/service.ts'
import { until } from '../support/until.ts'

// A database that has lost its last commits under running instances, which had seen them: another
// server has taken its place, or it was killed without having written them.

type Rated = { total_requests: number }

const [one, other] = useInstances()
const instances = [
  ['the instance that appends', one],
  ['another instance', other],
] as const

let kept: Awaited<ReturnType<typeof keepDatabase>>

const post = async (requests: number, service: TestService = one) => {
  const keys = [{ api_key_id: 1, requests }]
  const response = await service.post('/internal/apikey-stats/flush', { keys })
  expect(response.status).toBe(200)
  return positionOf(response)
}

let posted = 0

async function postToEachShard(): Promise<void> {
  for (let shard = 0; shard < one.shards; shard++) {
    const headers = { 'idempotency-key': keyOfShard(shard, one.shards, `each-${posted++}`) }
    const keys = [{ api_key_id: 1, requests: 1 }]
    const response = await one.post('/internal/apikey-stats/flush', { keys }, headers)
    expect(response.status).toBe(200)
  }
}

const readTotal = async (service: TestService) =>
  (await service.read<Rated>('/admin/api-keys/1')).total_requests
const readUsage = async (service: TestService) =>
  (await service.read<{ total: Rated }>('/admin/usage?api_key_id=1')).total.total_requests

let total = 0

beforeEach(async () => {
  await one.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  await post(10)
  total = await readTotal(one)
  expect([await readUsage(one), await readUsage(other)]).toEqual([total, total])
  kept = await keepDatabase(one.database.owner)
  for (let i = 0; i < 20; i++) await post(100)
})

describe.each(instances)('%s', (_, service) => {
  test('counts all that is acknowledged afterwards, and nothing of what was lost', async () => {
    expect([await readTotal(service), await readUsage(service)]).toEqual([
      total + 2_000,
      total + 2_000,
    ])
    await kept.bringBack()
    for (let i = 1; i <= 30; i++) {
      await post(1)
      expect(await readTotal(service)).toBe(total + i)
    }
    expect(await readUsage(service)).toBe(total + 30)
  })

  test('counts nothing of what it had folded in memory when that was lost', async () => {
    await kept.bringBack()
    // More than was lost: no position says that there is another event there now.
    for (let i = 0; i < 100; i++) await post(1)
    expect([await readTotal(service), await readUsage(service)]).toEqual([total + 100, total + 100])
  })

  test('ends the streams of who follows, and sends all that is appended afterwards', async () => {
    const stream = await SubscribedStream.open(service, 'shard=all')
    expect(await stream.next()).toHaveProperty('retry')
    await post(1)
    await stream.events(1)
    const { lastId } = stream
    await kept.bringBack()
    await stream.untilEnd()
    const headers = { accept: 'text/event-stream', 'last-event-id': lastId! }
    const again = await service.fetch('auditor', '/audit/events?shard=all', { headers })
    expect(again.status).toBe(400)
    const anew = await SubscribedStream.open(service, 'shard=all')
    expect(await anew.next()).toHaveProperty('retry')
    const position = await post(1)
    const [event] = await anew.events(1)
    expect(`${event!.shard}/${event!.position}`).toBe(position)
    anew.cut()
  })

  test('ends them also where the log has grown past where they stood', async () => {
    const stream = await SubscribedStream.open(service, 'shard=all')
    expect(await stream.next()).toHaveProperty('retry')
    // It has sent an event of each shard: so it knows which one stands where it does.
    await postToEachShard()
    await stream.events(one.shards)
    await kept.bringBack()
    for (let i = 0; i < 100; i++) await post(1)
    await stream.untilEnd()
  })

  test('ends the streams of who is told where the log stands', async () => {
    const response = await service.fetch('auditor', '/admin/live')
    const reader = response.body!.getReader()
    await reader.read()
    await kept.bringBack()
    await until(async () => (await reader.read()).done)
  })

  test('refuses reads as of what was lost', async () => {
    const position = await post(1)
    await kept.bringBack()
    const path = `/admin/api-keys/1?as_of_position=${position}`
    expect((await service.fetch('admin', path)).status).toBe(400)
  })

  test('resolves with the catalog as it is now', async () => {
    await one.putCatalog({ api_keys: [{ id: 2, group_id: 1 }] })
    await kept.bringBack()
    // Another change at the very same position.
    await other.putCatalog({ api_keys: [{ id: 3, group_id: 1 }] })
    const keys = [
      { api_key_id: 2, requests: 1 },
      { api_key_id: 3, requests: 1 },
    ]
    const response = await service.post('/internal/apikey-stats/flush', { keys })
    expect(await response.json()).toEqual({ updated: 1, groups_updated: 1 })
  })
})
