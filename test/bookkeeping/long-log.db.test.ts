import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Adoptions } from '../../src/bookkeeping/adoption/adoptions.ts'
import { LogScans } from '../../src/bookkeeping/adoption/log-scans.ts'
import { shardOfKey } from '../../src/events/shard-of-key.ts'
import { readHeads } from '../../src/log/read.ts'
import { insertEmptyFlushes, positionOf } from '../support/events.ts'
import { TEST_SHARDS, useDatabase, usePools } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { watchWorkers } from '../support/workers.ts'

// A key that is not listed is adopted from a log that is too long for one request: each reads a
// step of it, and a repeated request the next one.

/** More events than an adoption reads at the end of a log, by some steps. */
const EVENTS = 32_000
const STEP_EVENTS = 5_000
/** The shard that has seen too many names, and whose log is long. */
const SHARD = TEST_SHARDS - 1
const READING = { status: 503, error: 'reading the log' }

const workers = watchWorkers()
const database = useDatabase()
const pools = usePools(database)
/** Reads one step in each request. */
let service: TestService
/** The position of a flush that is reversed while the log is read. */
let reversed: string

beforeAll(async () => {
  service = await startTestService({ database, intervals: { adoption: { adoptWithinMs: 0 } } })
  await service.putCatalog({ api_keys: [{ id: 1 }] })
  await flush({ listed: 1 })
  await catchUp()
  // As if 100,000 names had been posted.
  await database.owner`update unknown_keys set number = 100000 where shard = ${SHARD} and name = ''`
  await flush({ late: 5 })
  reversed = await flush({ later: 3 })
  await flush({ later: 4 })
  await insertEmptyFlushes(database.owner, SHARD, EVENTS)
  await catchUp()
})
afterAll(async () => {
  await service.stop()
  workers.restore()
})

let keys = 0

/** Posts requests under names to the shard, and one for key 1. Returns the flush's position. */
async function flush(requests: Record<string, number>): Promise<string> {
  const names = Object.keys(requests).map((api_key) => ({ api_key, requests: requests[api_key] }))
  let key: string
  do key = `key-${keys++}`
  while (shardOfKey('dp', key, TEST_SHARDS) !== SHARD)
  const body = { keys: [{ api_key_id: 1, requests: 1 }, ...names] }
  return positionOf(
    await service.post('/internal/apikey-stats/flush', body, { 'idempotency-key': key }),
  )
}

/** Waits until projections reflect the log. */
const catchUp = () =>
  until(async () => (await service.fetch('admin', '/admin/apikey-stats/summary')).ok)

type Answer = { status: number; error?: string; requests?: number }

async function adopt(name: string, from = service): Promise<Answer> {
  const body = JSON.stringify({ api_keys: [{ external_id: name }] })
  const response = await from.fetch('admin', '/admin/unknown-keys/adopt', { method: 'POST', body })
  const { status } = response
  expect(response.headers.get('retry-after') !== null).toBe(status === 503)
  return { status, ...((await response.json()) as Omit<Answer, 'status'>) }
}

/** Repeats an adoption until it is recorded. Returns what it counted, and how often it had read. */
async function adoptAll(name: string, from = service) {
  for (let steps = 0; ; ) {
    const { status, error, requests } = await adopt(name, from)
    if (status === 200) return { steps, requests }
    expect(status).toBe(503)
    if (error === READING.error) steps++
  }
}

const totalOf = async (name: string) =>
  (await service.read<{ total_requests: number }>(`/admin/api-keys/ext:${name}`)).total_requests

test('a repeated adoption goes on with reading the log', async () => {
  await flush({ late: 7 })
  expect(await adopt('late')).toMatchObject(READING)
  const { steps, requests } = await adoptAll('late')
  expect(requests).toBe(12)
  expect(steps).toBeLessThan(EVENTS / STEP_EVENTS)
  expect(await totalOf('late')).toBe(12)
})

test('after an adoption its repeat reads nothing again, and counts what came since', async () => {
  expect(await adoptAll('late')).toEqual({ steps: 0, requests: 0 })
  await service.fetch('admin', '/admin/api-keys/ext:late', { method: 'DELETE' })
  await flush({ late: 3 })
  expect(await adoptAll('late')).toEqual({ steps: 0, requests: 3 })
  expect(await totalOf('late')).toBe(15)
})

test('acts are recorded while the log is read, and a flush that is reversed is left out', async () => {
  // This step has both flushes.
  expect(await adopt('later')).toMatchObject(READING)
  await service.act('/admin/corrections', { reverse: reversed, reason: 'posted twice' })
  expect(await adoptAll('later')).toMatchObject({ requests: 4 })
  expect(await totalOf('later')).toBe(4)
})

test('an adoption of a worker that dies begins again', async () => {
  await flush({ lost: 2 })
  expect(await adopt('lost')).toMatchObject(READING)
  workers.kill()
  expect(await adoptAll('lost')).toMatchObject({ requests: 2 })
  expect(await adoptAll('lost')).toEqual({ steps: 0, requests: 0 })
})

test('two instances that adopt a key at once count it once', async () => {
  const other = await startTestService({ database })
  await flush({ shared: 8 })
  const counted = await Promise.all([adoptAll('shared'), adoptAll('shared', other)])
  expect(counted.map(({ requests }) => requests).sort()).toEqual([0, 8])
  await other.stop()
  expect(await totalOf('shared')).toBe(8)
})

test('a stop ends the reading of the log', async () => {
  const other = await startTestService({ database })
  await flush({ stopped: 2 })
  workers.hold()
  const adopting = adopt('stopped', other)
  await until(() => workers.held === 1)
  const stopping = other.stop()
  workers.release()
  expect(await adopting).toMatchObject({ status: 503, error: 'stopping' })
  await stopping
  expect(await adoptAll('stopped')).toMatchObject({ requests: 2 })
})

/** Adoptions without a service around them, of API keys that have names of the log. */
const createAdoptions = (limits: { maxUsed: number; scans: LogScans | null }) =>
  new Adoptions({
    pools,
    ...limits,
    adoptWithinMs: 60_000,
    projector: {
      readHeads: () => readHeads(pools.control),
      reach: async () => (await catchUp()) === true,
      noticeLoss: () => {},
    },
  })

const idOf = async (name: string) =>
  (await service.read<{ id: number }>(`/admin/api-keys/ext:${name}`)).id

test('an adoption beyond the limits is refused and takes nothing', async () => {
  await flush({ 'limited-1': 1, 'limited-2': 2 })
  const names = ['limited-1', 'limited-2']
  await service.putCatalog({ api_keys: names.map((external_id) => ({ external_id })) })
  const both = { api_keys: await Promise.all(names.map(idOf)), keys: [] }
  for (const limits of [
    { maxUsed: 1, scans: new LogScans() },
    { maxUsed: 10, scans: null },
  ]) {
    expect(await createAdoptions(limits).adopt(both, 'admin')).toBe('too large')
  }
  const enough = createAdoptions({ maxUsed: 2, scans: new LogScans() })
  expect(await enough.adopt(both, 'admin')).toMatchObject({ apiKeys: 2, requests: 3 })
})
