import { beforeEach, describe, expect, test } from 'bun:test'
import type { SourceItem } from '../../src/sources/read.ts'
import { positionOf } from '../support/events.ts'
import { SubscribedStream } from '../support/follow.ts'
import { keyOfShard } from '../support/keys.ts'
import { saveDatabase } from '../support/rewind.ts'
import { type TestService, useInstances } from '../support/service.ts'
import { until } from '../support/until.ts'

// A database that lost its last commits, which running instances had already read: another server
// took its place, or it was killed before it wrote them.

type Rated = { total_requests: number }

const [one, other] = useInstances()
const instances = [
  ['the instance that appends', one],
  ['another instance', other],
] as const

let saved: Awaited<ReturnType<typeof saveDatabase>>

const post = async (requests: number, service: TestService = one, sequence?: string) => {
  const keys = [{ api_key_id: 1, requests }]
  const headers = sequence === undefined ? {} : { 'tallybook-sequence': sequence }
  const response = await service.post('/internal/apikey-stats/flush', { keys }, headers)
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
  saved = await saveDatabase(one.database.owner)
  for (let i = 0; i < 8; i++) await post(100)
})

describe.each(instances)('%s', (_, service) => {
  test('counts everything acknowledged afterwards, and nothing that was lost', async () => {
    expect([await readTotal(service), await readUsage(service)]).toEqual([total + 800, total + 800])
    await saved.restore()
    for (let i = 1; i <= 12; i++) {
      await post(1)
      expect(await readTotal(service)).toBe(total + i)
    }
    expect(await readUsage(service)).toBe(total + 12)
  })

  test('counts nothing of the lost events that it had folded in memory', async () => {
    await saved.restore()
    // More than was lost, so the positions alone do not show that the events are different.
    for (let i = 0; i < 50; i++) await post(1)
    expect([await readTotal(service), await readUsage(service)]).toEqual([total + 50, total + 50])
  })

  test('counts no lost flush of a source that it has not folded yet', async () => {
    // Whatever was appended before is folded, and these are lost before they are.
    for (const instance of [one, other]) await instance.read('/admin/sources')
    const folded = await saveDatabase(one.database.owner)
    for (let i = 0; i < 8; i++) await post(100)
    await folded.restore()
    // Others are at their positions, of which this instance knows nothing.
    for (let i = 0; i < 20; i++) await post(1, other)
    const { api_keys } = await service.read<SourceItem>('/admin/sources/dp')
    const [row] = await one.database.owner<{ flushes: number; requests: number }[]>`
      select count(distinct (f.shard, f.position))::integer as flushes,
        sum(f.requests)::integer as requests
      from flush_entries f`
    expect(api_keys).toMatchObject(row!)
  })

  test('misses the lost flushes of a source, and counts none of them', async () => {
    const read = async () => {
      const { flushes, epochs } = await service.read<SourceItem>('/admin/sources/dp')
      return { flushes, missing: epochs.find(({ epoch }) => epoch === saved.name)!.missing }
    }
    const { flushes } = await service.read<SourceItem>('/admin/sources/dp')
    for (let i = 0; i < 4; i++) await post(1, one, `${saved.name}/${i}`)
    expect(await read()).toEqual({ flushes: flushes + 4, missing: [] })
    await saved.restore()
    for (let i = 4; i < 20; i++) await post(1, i % 2 === 0 ? one : other, `${saved.name}/${i}`)
    expect(await read()).toEqual({ flushes: flushes - 8 + 16, missing: [[0, 3]] })
  })

  test('ends the streams of subscribers, and sends new subscribers all later events', async () => {
    const stream = await SubscribedStream.open(service, 'shard=all')
    expect(await stream.next()).toHaveProperty('retry')
    await post(1)
    await stream.events(1)
    const { lastId } = stream
    await saved.restore()
    await stream.untilEnd()
    const headers = { accept: 'text/event-stream', 'last-event-id': lastId! }
    const again = await service.fetch('auditor', '/audit/events?shard=all', { headers })
    expect(again.status).toBe(400)
    const reopened = await SubscribedStream.open(service, 'shard=all')
    expect(await reopened.next()).toHaveProperty('retry')
    const position = await post(1)
    const [event] = await reopened.events(1)
    expect(`${event!.shard}/${event!.position}`).toBe(position)
    reopened.cut()
  })

  test('ends the streams of subscribers even if the log has passed their positions', async () => {
    const stream = await SubscribedStream.open(service, 'shard=all')
    expect(await stream.next()).toHaveProperty('retry')
    // The stream has sent an event of each shard, so it knows which event is at its position.
    await postToEachShard()
    await stream.events(one.shards)
    await saved.restore()
    for (let i = 0; i < 50; i++) await post(1)
    await stream.untilEnd()
  })

  test('ends the streams of /admin/live', async () => {
    const response = await service.fetch('auditor', '/admin/live')
    const reader = response.body!.getReader()
    await reader.read()
    await saved.restore()
    await until(async () => (await reader.read()).done)
  })

  test('refuses reads as of a lost position', async () => {
    const position = await post(1)
    await saved.restore()
    const path = `/admin/api-keys/1?as_of_position=${position}`
    expect((await service.fetch('admin', path)).status).toBe(400)
  })

  test('attributes flushes with the current catalog', async () => {
    await one.putCatalog({ api_keys: [{ id: 2, group_id: 1 }] })
    await saved.restore()
    // A different change at the same position.
    await other.putCatalog({ api_keys: [{ id: 3, group_id: 1 }] })
    const keys = [
      { api_key_id: 2, requests: 1 },
      { api_key_id: 3, requests: 1 },
    ]
    const response = await service.post('/internal/apikey-stats/flush', { keys })
    expect(await response.json()).toEqual({ updated: 1, groups_updated: 1 })
  })
})
