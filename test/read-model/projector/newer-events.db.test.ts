import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { newestMigration } from '../../../src/platform/postgres/newer.ts'
import { connectAsOwner, openPools } from '../../../src/platform/postgres/pool.ts'
import { PROJECTIONS } from '../../../src/read-model/projections/index.ts'
import { rebuild } from '../../../src/read-model/rebuild/rebuild.ts'
import { insertEvent } from '../../support/events.ts'
import { checkpointsOf } from '../../support/fold.ts'
import { startTestService, type TestService } from '../../support/service.ts'

// A rolling upgrade, in which this instance is the older one: it leaves events of newer code to
// that code, and continues with everything else.

let service: TestService
let shard: number

beforeEach(async () => {
  service = await startTestService()
  shard = service.shards - 1
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  // Returns when the change is folded.
  await service.read('/admin/api-keys/1')
})
afterEach(() => service.end())

/** Records a newer migration, as newer code does first when it starts. */
const migrateAhead = async () => {
  const number = newestMigration() + 1
  await service.database.owner`
    insert into migrations (number, name, sha256) values (${number}, 'newer', '')`
}

const KNOWN = '{"groups":[1],"counts":[1],"ids":[1],"requests":[1],"successes":[1]}'
const insertKnown = () =>
  insertEvent(service.database.owner, { shard, type: 'ApiKeyStatsFlushed', payload: KNOWN })
const NEWER: { type: string; version?: number }[] = [
  { type: 'KeysMerged' },
  { type: 'ApiKeyStatsFlushed', version: 9 },
]

const readParked = async () => [
  ...(await service.database.owner`select p.shard, p.position::integer from parked_events p`),
]

async function readPosition(): Promise<number> {
  const checkpoints = await checkpointsOf(service.database.owner, shard)
  return checkpoints.find(({ projection }) => projection === 'api_key_counters')!.position
}

/** Returns when the counters of the shard are folded through `position`. */
async function untilFolded(position: number): Promise<void> {
  while ((await readPosition()) < position) await Bun.sleep(20)
}

for (const event of NEWER) {
  describe(`an event of ${event.type}, version ${event.version ?? 1}`, () => {
    test('ends the batch before it and is not parked if newer code has migrated', async () => {
      await migrateAhead()
      const last = await insertKnown()
      const at = await insertEvent(service.database.owner, { shard, ...event, payload: '{}' })
      await insertKnown()
      await untilFolded(last)
      // A consistent read would wait for the events after it, which no instance here can fold.
      const read = await service.fetch('admin', '/admin/api-keys/1?consistency=eventual')
      expect(await read.json()).toMatchObject({ total_requests: 1 })
      expect([await readPosition(), await readParked()]).toEqual([at - 1, []])

      // Once the newer instance has folded it, this one folds what follows.
      await service.database.owner`
        update checkpoints set position = ${at} where shard = ${shard} and position = ${at - 1}`
      await untilFolded(at + 1)
      expect(await readParked()).toEqual([])
    })

    test('is parked if no newer code has run', async () => {
      const positions = [await insertKnown()]
      for (let i = 0; i < 3; i++) {
        await insertEvent(service.database.owner, { shard, ...event, payload: '{}' })
        positions.push(await insertKnown())
      }
      const { total_requests } = await service.read<{ total_requests: number }>('/admin/api-keys/1')
      expect(total_requests).toBe(4)
      const parked = positions.slice(1).map((position) => ({ shard, position: position - 1 }))
      expect(await readParked()).toEqual(parked)
    })
  })
}

test('a payload that no version writes is parked, with or without newer code', async () => {
  await migrateAhead()
  const type = 'ApiKeyStatsFlushed'
  const position = await insertEvent(service.database.owner, { shard, type, payload: '[]' })
  await insertKnown()
  const { total_requests } = await service.read<{ total_requests: number }>('/admin/api-keys/1')
  expect([total_requests, await readParked()]).toEqual([1, [{ shard, position }]])
})

test('flushes are still accepted, and reads of the past that need newer code get 503', async () => {
  const readAt = (position: number) =>
    service.fetch('admin', `/admin/api-keys/1?as_of_position=${shard}/${position}`)
  const before = await insertKnown()
  expect(await (await readAt(before)).json()).toMatchObject({ total_requests: 1 })
  await migrateAhead()
  const at = await insertEvent(service.database.owner, {
    ...{ shard, type: 'ApiKeyStatsFlushed', version: 9, payload: '{}' },
  })
  for (let i = 0; i < 20; i++) {
    const keys = [{ api_key_id: 1, requests: 1 }]
    expect((await service.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
  }
  // The newer instance has folded it.
  await service.database.owner`
    update checkpoints set position = ${at} where shard = ${shard} and position < ${at}`
  const past = await readAt(at)
  expect([past.status, past.headers.get('retry-after')]).toEqual([503, expect.any(String)])
})

test('a retry of a flush that newer code appended gets 503 and is left to that code', async () => {
  const key = { 'idempotency-key': 'one' }
  const body = { keys: [{ api_key_id: 1, requests: 1 }] }
  expect((await service.post('/internal/apikey-stats/flush', body, key)).status).toBe(200)
  await service.database.owner`alter table events disable trigger user`
  await service.database.owner`update events set version = 9 where idempotency_key = 'one'`
  await migrateAhead()
  const replay = await service.post('/internal/apikey-stats/flush', body, key)
  expect([replay.status, replay.headers.get('retry-after')]).toEqual([503, expect.any(String)])
})

test('a rebuild by older code fails and leaves the live rows', async () => {
  await migrateAhead()
  const at = await insertEvent(service.database.owner, {
    ...{ shard, type: 'KeysMerged', payload: '{}' },
  })
  // The newer instance has folded it.
  await service.database.owner`
    update checkpoints set position = ${at} where shard = ${shard}`
  const owner = connectAsOwner(service.database.address)
  const pools = openPools(service.database.address, service.shards)
  const made = rebuild({
    ...{ owner, project: pools.project, projections: PROJECTIONS.slice(0, 1) },
    ...{ signal: new AbortController().signal, onProgress: () => {} },
  })
  await expect(made).rejects.toThrow('was written by a newer version')
  await owner.end()
  await pools.close()
})

test('of many concurrent starts one rebuilds what an older version made', async () => {
  const { owner } = service.database
  await owner`update projections set version = 0 where projection = 'key_counters'`
  const run = async () => {
    const own = connectAsOwner(service.database.address)
    const pools = openPools(service.database.address, service.shards)
    try {
      return await rebuild({
        ...{ owner: own, project: pools.project, projections: PROJECTIONS, onlyChanged: true },
        ...{ signal: new AbortController().signal, onProgress: () => {} },
      })
    } finally {
      await own.end()
      await pools.close()
    }
  }
  await Promise.all([run(), run(), run()])
  expect(await run()).toEqual({ rebuilt: [] })
  const rows = await owner`select projection, generation from rebuilds where state = 'live'`
  expect([...rows]).toEqual([{ projection: 'key_counters', generation: 2 }])
})
