import { afterAll, beforeAll, expect, test } from 'bun:test'
import { nameOfApiKey } from '../../src/events/unknown.ts'
import { connectAsOwner, openPools } from '../../src/platform/postgres/pool.ts'
import { bookkeeping } from '../../src/read-model/projections/bookkeeping.ts'
import { rebuild } from '../../src/read-model/rebuild/rebuild.ts'
import { align } from '../../src/rollups/align.ts'
import { forgetUnknown } from '../../src/rollups/forget-unknown.ts'
import { rollUpUsage, verify } from '../proofs/integrity/history.ts'
import { createDatabase, TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { CATALOG, DAY_MS, insertFlushes, readFlushes } from './simulated.ts'

// What is unknown is forgotten by quarter hours once usage is not kept by them. An adoption counts
// the same: it reads the log for keys that were seen before.

const KEPT_DAYS = 62
/** When flushes came in shard 0; in others only the last. */
const DAYS_AGO = [100, 80, 61, 3]
const OTHERS = TEST_SHARDS - 1
const ADOPTED = [
  { external_id: 'old', group_id: 1 },
  { external_id: 'new', group_id: 2 },
]

/** One keeps everything, the other forgets. Both have the same log. */
let services: { all: TestService; kept: TestService }

beforeAll(async () => {
  const day = (daysAgo: number) => (Math.floor(Date.now() / DAY_MS) - daysAgo) * DAY_MS
  const [old, recent, late] = await readFlushes([
    { keys: [entry('old', 5), { api_key: 'old', requests: 2 }] },
    { keys: [entry('new', 7), { api_key: 'old', requests: 1 }] },
    {
      keys: [entry('new', 11), { api_key: 'old', requests: 4 }],
      counted_at: Math.floor(Date.now() / 1_000),
    },
  ])
  const stated = String(Math.floor(day(70) / 1_000) + 4_000)
  late!.payload = late!.payload.replace(/("counted_at":)\d+/, `$1${stated}`)
  const flushesOf = (daysAgo: readonly number[]) =>
    daysAgo.flatMap((days) => {
      const flushes = days > 3 ? [old!, old!] : [recent!, late!]
      return flushes.map((flush, j) => {
        const { type, version, payload } = flush
        return {
          type,
          version,
          payload,
          at: new Date(day(days) + 9_000_000 * (j + 1)).toISOString(),
        }
      })
    })
  const start = async () => {
    const database = await createDatabase()
    for (let shard = 0; shard < TEST_SHARDS; shard++) {
      await insertFlushes(database, shard, 0, flushesOf(shard === 0 ? DAYS_AGO : [3]))
    }
    const service = await startTestService({ database })
    await service.putCatalog(CATALOG)
    while ((await service.fetch('admin', '/admin/usage')).status !== 200);
    return service
  }
  services = { all: await start(), kept: await start() }
})
afterAll(async () => {
  await services.all.end()
  await services.kept.end()
})

const entry = (api_key: string, requests: number) => ({
  ...{ api_key, requests, success_requests: 1 },
  ...{ dimensions: { model: `m${requests}` }, measures: { input_tokens: requests } },
})

const countRows = async (name: string) => {
  const { owner } = services.kept.database
  const [row] = await owner<{ usage: number; parts: number }[]>`
    select
      (select count(*)::integer from unknown_usage u where u.name = n.name) as usage,
      (select count(*)::integer from unknown_parts u where u.name = n.name) as parts
    from (select ${nameOfApiKey(0, name)}::text as name) n`
  return { ...row! }
}

async function forget(isStopped = () => false): Promise<void> {
  const { database } = services.kept
  await rollUpUsage(database, { day: KEPT_DAYS, month: 3 })
  await forgetUnknown(database.owner, isStopped)
}

async function expectNoDrift(): Promise<void> {
  const { database } = services.kept
  expect(await verify(database)).toMatchObject({ problems: 0, first: [] })
  const owner = connectAsOwner(database.address)
  const pools = openPools(database.address, TEST_SHARDS)
  const { signal } = new AbortController()
  const outcome = await rebuild({
    ...{ owner, project: pools.project, projections: [bookkeeping], signal, align },
    onProgress: () => {},
  })
  expect(outcome).toMatchObject({ rebuilt: [{ differences: { rows: 0, first: [] } }] })
  await pools.close()
  await owner.end()
}

async function adopt(service: TestService) {
  const body = JSON.stringify({ api_keys: ADOPTED })
  const path = '/admin/unknown-keys/adopt'
  const response = await service.fetch('admin', path, { method: 'POST', body })
  expect(response.status).toBe(200)
  const { api_keys, requests } = (await response.json()) as Record<string, number>
  return { api_keys, requests }
}

/** Reads what an adoption states by name and quarter hour; a scan has rows of each shard. */
const readStated = ({ database: { owner } }: TestService) => owner`
  select n.name, t.time, sum(r.requests::integer) as requests
  from events e
    cross join lateral (select e.payload->'api_keys' as rows) k
    cross join lateral json_array_elements_text(k.rows->'names') with ordinality n(name, i)
    join lateral json_array_elements_text(k.rows->'times') with ordinality t(time, i)
      on t.i = n.i
    join lateral json_array_elements_text(k.rows->'requests') with ordinality r(requests, i)
      on r.i = n.i
  where e.type = 'UnknownKeysAdopted'
  group by n.name, t.time
  order by n.name, t.time`

const readUsage = (service: TestService) => {
  const from = new Date(Date.now() - 130 * DAY_MS).toISOString().slice(0, 7)
  const to = new Date(Date.now() + DAY_MS).toISOString().slice(0, 10)
  const range = `from=${from}-01T00:00:00Z&to=${to}T00:00:00Z`
  return Promise.all(
    ['&group_id=1', '&group_id=2'].flatMap((scope) => [
      service.read(`/admin/usage?bucket=month&${range}${scope}`),
      service.read(`/admin/breakdown?by=model&${range}${scope}`),
    ]),
  )
}

test('rows of keys that were seen long ago are deleted, if they count then', async () => {
  const before = await countRows('old')
  expect(before).toEqual({ usage: 8 + 2 * OTHERS, parts: 14 + 2 * OTHERS })
  const ofNew = await countRows('new')
  // Stopped before the first is deleted, as if killed: readers have seen the boundary.
  await forget(() => true)
  expect(await countRows('old')).toEqual(before)
  expect(await verify(services.kept.database)).toMatchObject({ problems: 0 })
  await forget()
  expect(await countRows('old')).toEqual({ usage: 3 + OTHERS, parts: 5 + OTHERS })
  expect(await countRows('new')).toEqual(ofNew)
  await expectNoDrift()
})

test('an adoption counts the same, once', async () => {
  const [counted, expected] = [await adopt(services.kept), await adopt(services.all)]
  expect(counted).toEqual(expected)
  expect(counted.requests).toBe(6 * 7 + TEST_SHARDS * (8 + 15))
  expect(await readStated(services.kept)).toEqual(await readStated(services.all))
  expect(await readUsage(services.kept)).toEqual(await readUsage(services.all))
  expect(await adopt(services.kept)).toEqual({ api_keys: 0, requests: 0 })
  // What the act took of deleted rows is not compared, and goes with the next rebuild.
  await expectNoDrift()
})
