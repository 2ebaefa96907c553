import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { CHANNEL } from '../../src/cluster/catch-up-request.ts'
import { newestMigration } from '../../src/platform/postgres/newer.ts'
import { startTestService, type TestService, useService } from '../support/service.ts'
import { until } from '../support/until.ts'

// Instances on one database share its shards; who tends which is a hint, and nobody waits for one
// that does nothing.

type Row = { id: string; live: boolean; owned_shards: number[] }
type Status = { instance: string; instances: Row[] }

const SILENT_AFTER_MS = 3_000
const intervals = { instances: { heartbeatMs: 50, silentAfterMs: SILENT_AFTER_MS } }

const service = useService({ intervals })
const others: TestService[] = []
/** Requests that were posted. */
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

/** What every instance tends, as each sees itself; sorted. */
async function readOwned(): Promise<number[]> {
  const statuses = await Promise.all(all().map((one) => readStatus(one)))
  return statuses
    .flatMap(
      ({ instance, instances }) => instances.find(({ id }) => id === instance)?.owned_shards ?? [],
    )
    .sort((a, b) => a - b)
}

/** Returns when each shard is tended by one that runs, and all agree by whom. */
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

/** Returns when the service has looked at who else runs, in a look that began after this call. */
async function untilLooked(): Promise<void> {
  const { instance } = await readStatus()
  const readHeartbeat = async () => {
    const [row] = await service.database.owner<{ at: string }[]>`
      select seen_at::text as at from instances where id = ${instance}`
    return row?.at ?? null
  }
  // The beat comes first in a look: at the third one the look of the second is over.
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

/** An instance that said that it runs, now or at another time, and does nothing. */
async function pretend(id: string, { ahead = 0, migration = 0 } = {}): Promise<void> {
  const known = await newestMigration()
  await service.database.owner`
    insert into instances (id, version, migration, started_at, seen_at)
    values (
      ${id}, '0', ${known + migration}, now(), clock_timestamp() + ${ahead} * interval '1 s'
    )`
}

const heartbeats: ReturnType<typeof setInterval>[] = []

/** An instance that goes on to say that it runs, and does nothing, until `silence`. */
async function pretendOn(id: string, migration: number): Promise<void> {
  await pretend(id, { migration })
  const heartbeat = () =>
    service.database.owner`
    update instances set seen_at = clock_timestamp() where id = ${id}`.catch(() => {})
  heartbeats.push(setInterval(heartbeat, SILENT_AFTER_MS / 6))
}

const silence = () => heartbeats.splice(0).forEach(clearInterval)

describe('three instances', () => {
  beforeAll(async () => {
    await Promise.all([startOther(), startOther()])
  })
  afterAll(stopOthers)

  test('count what each was posted, and each shows all of it', async () => {
    for (let round = 0; round < 12; round++) {
      for (const one of all()) await post(one)
      // Whoever tends a shard, and whether or not this one is asked for it.
      expect(await readTotal(all()[round % 3])).toBe(posted)
    }
    await untilShared()
    for (const one of all()) expect(await readTotal(one)).toBe(posted)
  })

  test('have one answer each for what they are', async () => {
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

  test('tend each shard once, and go on when one stops', async () => {
    await untilShared()
    const counts = (await readStatus()).instances.map(({ owned_shards }) => owned_shards.length)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    const { instance } = await readStatus(others.at(-1))
    await others.pop()!.stop()
    // Its row goes with it: nobody waits until it is taken for dead.
    expect((await readStatus()).instances.map(({ id }) => id)).not.toContain(instance)
    await untilShared()
  })
})

describe('an instance that does nothing', () => {
  afterEach(async () => {
    silence()
    const { instance } = await readStatus()
    await service.database.owner`delete from instances where id <> ${instance}`
    await untilShared()
  })

  test('keeps no reader waiting: another helps, and takes over when it is silent', async () => {
    // As newer code it would tend every shard.
    await pretendOn('ghost', 1)
    await until(async () => (await readOwned()).length === 0)
    await post()
    expect(await readTotal()).toBe(posted)
    expect(await readOwned()).toEqual([])
    silence()
    await untilShared()
    const { instances } = await readStatus()
    expect(instances.find(({ id }) => id === 'ghost')).toMatchObject({
      live: false,
      owned_shards: [],
    })
  })

  test('of older code tends nothing', async () => {
    await pretendOn('old', -1)
    await untilLooked()
    await untilShared()
    expect((await readStatus()).instances.find(({ id }) => id === 'old')).toMatchObject({
      live: true,
      owned_shards: [],
    })
  })

  test('and was silent for ten minutes is listed no more', async () => {
    await pretend('long gone', { ahead: -601 })
    await pretend('just gone', { ahead: -4 })
    await until(async () => (await readStatus()).instances.length === 2)
    const { instances } = await readStatus()
    expect(instances.map(({ id }) => id)).toContain('just gone')
  })

  test.each([
    ['a minute', 60, ['later']],
    ['two days', 172_800, []],
    ['ten years', 315_360_000, []],
  ])(
    'and was seen %s from now, before the clock was set back, holds nothing up',
    async (_, ahead, listed) => {
      // As newer code it would tend every shard.
      await pretend('later', { ahead, migration: 1 })
      await untilLooked()
      await untilShared()
      const { instance, instances } = await readStatus()
      expect(instances.filter(({ live }) => live).map(({ id }) => id)).toEqual([instance])
      const others = instances.map(({ id }) => id).filter((id) => id !== instance)
      expect(others).toEqual(listed)
    },
  )
})

test('an instance whose row was taken away is back with its next heartbeat', async () => {
  await service.database.owner`delete from instances`
  await until(async () => (await readStatus()).instances.length === 1)
  await untilShared()
})

test('whatever a stranger sends to the channel, everything goes on', async () => {
  const { owner } = service.database
  for (const text of ['', 'x', '0 current 999999999999999', '77 usage 1', '0 nothing 1']) {
    await owner`select pg_notify(${CHANNEL}, ${text})`
  }
  await post()
  expect(await readTotal()).toBe(posted)
})

describe('two instances', () => {
  afterAll(stopOthers)

  test('listen again, and are asked again, when their connections were cut', async () => {
    const other = await startOther()
    await untilShared()
    await service.database.owner`
      select pg_terminate_backend(a.pid, 10000)
      from pg_stat_activity a
      where a.datname = current_database() and a.pid <> pg_backend_pid()`
    // The first to ask may be told that its connection is gone.
    for (const one of all()) {
      await until(async () => (await one.fetch('admin', '/admin/status')).ok)
    }
    await untilShared()
    for (const one of [service, other]) await post(one)
    for (const one of [service, other]) expect(await readTotal(one)).toBe(posted)
  })
})
