import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { CHANNEL } from '../../src/cluster/catch-up-request.ts'
import { newestMigration } from '../../src/platform/postgres/newer.ts'
import { startTestService, type TestService, useService } from '../support/service.ts'
import { until } from '../support/until.ts'

// Instances on one database share its shards. Ownership is a hint: no reader waits for an owner
// that does nothing.

type Row = { id: string; live: boolean; owned_shards: number[] }
type Status = { instance: string; instances: Row[] }

const SILENT_AFTER_MS = 3_000
const intervals = { instances: { heartbeatMs: 50, silentAfterMs: SILENT_AFTER_MS } }

const service = useService({ intervals })
const others: TestService[] = []
/** How many requests were posted. */
let posted = 0

beforeAll(async () => {
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
})

async function startOther(): Promise<TestService> {
  const other = await startTestService({ database: service.database, intervals })
  others.push(other)
  return other
}

async function stopOthers(): Promise<void> {
  await Promise.all(others.splice(0).map((other) => other.stop()))
}

const readStatus = (through: TestService = service) => through.read<Status>('/admin/status')
const shards = () => Array.from({ length: service.shards }, (_, shard) => shard)
const all = () => [service, ...others]

/** Returns the shards that the instances report as their own, sorted. */
async function readOwned(): Promise<number[]> {
  const statuses = await Promise.all(all().map((one) => readStatus(one)))
  return statuses
    .flatMap(
      ({ instance, instances }) => instances.find(({ id }) => id === instance)?.owned_shards ?? [],
    )
    .sort((a, b) => a - b)
}

/** Waits until each shard has one live owner, and all instances agree on it. */
async function untilShared(): Promise<void> {
  await until(async () => {
    const statuses = await Promise.all(all().map((one) => readStatus(one)))
    const views = statuses.map(({ instances }) =>
      statuses.map(
        ({ instance }) => instances.find(({ id }) => id === instance)?.owned_shards ?? [],
      ),
    )
    const owned = views[0]!.flat().sort((a, b) => a - b)
    return Bun.deepEquals(owned, shards()) && views.every((view) => Bun.deepEquals(view, views[0]))
  })
}

/** Waits until the service has read the live instances, in a poll that began after this call. */
async function untilPolled(): Promise<void> {
  const { instance } = await readStatus()
  const readHeartbeat = async () => {
    const [row] = await service.database.owner<{ at: string }[]>`
      select seen_at::text as at from instances where id = ${instance}`
    return row?.at ?? null
  }
  // A poll writes the heartbeat first, so at the third heartbeat the poll of the second is over.
  for (let heartbeats = 0; heartbeats < 3; heartbeats++) {
    const before = await readHeartbeat()
    await until(async () => (await readHeartbeat()) !== before)
  }
}

async function post(through: TestService = service): Promise<void> {
  const keys = [{ api_key_id: 1, requests: 1 }]
  expect((await through.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
  posted++
}

const readTotal = async (through: TestService = service) =>
  (await through.read<{ total_requests: number }>('/admin/apikey-stats/summary')).total_requests

/** Inserts an instance that does nothing, with a heartbeat `ahead` seconds from now. */
async function insertInstance(id: string, { ahead = 0, migration = 0 } = {}): Promise<void> {
  const known = newestMigration()
  await service.database.owner`
    insert into instances (id, version, migration, started_at, seen_at)
    values (
      ${id}, '0', ${known + migration}, now(), clock_timestamp() + ${ahead} * interval '1 s'
    )`
}

const heartbeats: ReturnType<typeof setInterval>[] = []

/** Inserts an instance that does nothing but send heartbeats, until `stopHeartbeats`. */
async function insertLiveInstance(id: string, migration: number): Promise<void> {
  await insertInstance(id, { migration })
  const heartbeat = () =>
    service.database.owner`
    update instances set seen_at = clock_timestamp() where id = ${id}`.catch(() => {})
  heartbeats.push(setInterval(heartbeat, SILENT_AFTER_MS / 6))
}

const stopHeartbeats = () => heartbeats.splice(0).forEach(clearInterval)

describe('three instances', () => {
  beforeAll(async () => {
    await Promise.all([startOther(), startOther()])
  })
  afterAll(stopOthers)

  test('count the flushes of all, and each returns the whole total', async () => {
    for (let round = 0; round < 12; round++) {
      for (const one of all()) await post(one)
      // Whether or not the instance that is read owns the shards.
      expect(await readTotal(all()[round % 3])).toBe(posted)
    }
    await untilShared()
    for (const one of all()) expect(await readTotal(one)).toBe(posted)
  })

  test('report in their metrics three instances and one owner of shard 0', async () => {
    const text = await (await service.fetch(null, '/metrics')).text()
    expect(text).toMatch(/^tallybook_tends\{shard="0"\} [01]$/m)
    await until(async () => {
      const metrics = await Promise.all(
        all().map(async (one) => (await one.fetch(null, '/metrics')).text()),
      )
      const owned = metrics.filter((one) => one.includes('tallybook_tends{shard="0"} 1'))
      return metrics.every((one) => one.includes('tallybook_instances 3')) && owned.length === 1
    })
  })

  test('own each shard once, and share again when one stops', async () => {
    await untilShared()
    const counts = (await readStatus()).instances.map(({ owned_shards }) => owned_shards.length)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    const { instance } = await readStatus(others.at(-1))
    await others.pop()!.stop()
    // It deletes its row, so no one waits until its heartbeat expires.
    expect((await readStatus()).instances.map(({ id }) => id)).not.toContain(instance)
    await untilShared()
  })
})

describe('an instance that does nothing', () => {
  afterEach(async () => {
    stopHeartbeats()
    const { instance } = await readStatus()
    await service.database.owner`delete from instances where id <> ${instance}`
    await untilShared()
  })

  test('keeps no reader waiting, and loses its shards when its heartbeats stop', async () => {
    // Its newer code makes it the owner of every shard.
    await insertLiveInstance('ghost', 1)
    await until(async () => (await readOwned()).length === 0)
    await post()
    expect(await readTotal()).toBe(posted)
    expect(await readOwned()).toEqual([])
    stopHeartbeats()
    await untilShared()
    const { instances } = await readStatus()
    expect(instances.find(({ id }) => id === 'ghost')).toMatchObject({
      live: false,
      owned_shards: [],
    })
  })

  test('owns no shard if its code is older', async () => {
    await insertLiveInstance('old', -1)
    await untilPolled()
    await untilShared()
    expect((await readStatus()).instances.find(({ id }) => id === 'old')).toMatchObject({
      live: true,
      owned_shards: [],
    })
  })

  test('is not listed after ten minutes without a heartbeat', async () => {
    await insertInstance('long gone', { ahead: -601 })
    await insertInstance('just gone', { ahead: -4 })
    await until(async () => (await readStatus()).instances.length === 2)
    const { instances } = await readStatus()
    expect(instances.map(({ id }) => id)).toContain('just gone')
  })

  test.each([
    ['a minute', 60, ['later']],
    ['two days', 172_800, []],
    ['ten years', 315_360_000, []],
  ])(
    'owns no shard with a heartbeat %s ahead, from before the clock was set back',
    async (_, ahead, listed) => {
      // If it counted as live, its newer code would make it the owner of every shard.
      await insertInstance('later', { ahead, migration: 1 })
      await untilPolled()
      await untilShared()
      const { instance, instances } = await readStatus()
      expect(instances.filter(({ live }) => live).map(({ id }) => id)).toEqual([instance])
      const others = instances.map(({ id }) => id).filter((id) => id !== instance)
      expect(others).toEqual(listed)
    },
  )
})

test('an instance whose row was deleted is back with its next heartbeat', async () => {
  await service.database.owner`delete from instances`
  await until(async () => (await readStatus()).instances.length === 1)
  await untilShared()
})

test('invalid notifications on the channel change nothing', async () => {
  const { owner } = service.database
  for (const text of ['', 'x', '0 current 999999999999999', '77 usage 1', '0 nothing 1']) {
    await owner`select pg_notify(${CHANNEL}, ${text})`
  }
  await post()
  expect(await readTotal()).toBe(posted)
})

describe('two instances', () => {
  afterAll(stopOthers)

  test('listen and receive requests again after their connections were cut', async () => {
    const other = await startOther()
    await untilShared()
    await service.database.owner`
      select pg_terminate_backend(a.pid, 10000)
      from pg_stat_activity a
      where a.datname = current_database() and a.pid <> pg_backend_pid()`
    // The first request may fail because its connection is gone.
    for (const one of all()) {
      await until(async () => (await one.fetch('admin', '/admin/status')).ok)
    }
    await untilShared()
    for (const one of [service, other]) await post(one)
    for (const one of [service, other]) expect(await readTotal(one)).toBe(posted)
  })
})
