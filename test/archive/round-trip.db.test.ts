import { afterEach, expect, test } from 'bun:test'
import { join } from 'node:path'
import fc from 'fast-check'
import { auditService, fillService, untilSigned } from '../proofs/verifier/audited.ts'
import { parametersOf, runsOf, timeoutOf } from '../property/runs.ts'
import { Session } from '../property/session.ts'
import { history } from '../property/steps.ts'
import {
  countEvents,
  dumpTable,
  importTestArchive,
  problemsOf,
  runCommand,
  useFolder,
  writeTestArchive,
} from '../support/archive.ts'
import { insertEvent, readKeyIndex } from '../support/events.ts'
import { Place } from '../support/place.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

const runs = runsOf(1)

/** A long history: the move takes most of the time, not the steps. */
const steps = fc.tuple(history, history, history).map((parts) => parts.flat())

const folder = useFolder()
let archives = 0
const services: TestService[] = []

afterEach(endServices)

async function endServices(): Promise<void> {
  for (const service of services.splice(0)) await service.end()
}

async function start(options: Parameters<typeof startTestService>[0] = {}): Promise<TestService> {
  const service = await startTestService(options)
  services.push(service)
  return service
}

const nextArchive = () => join(folder.path, `archive-${++archives}`)

/** Imports an archive into a new database. */
async function importArchive(archive: string): Promise<TestDatabase> {
  const database = await createDatabase()
  expect(await importTestArchive(database, archive)).toBe(null)
  return database
}

/** Moves the log of a service to a new database, and starts a service there. */
async function move(old: TestService): Promise<TestService> {
  const archive = nextArchive()
  await writeTestArchive(old.database, archive)
  expect(await problemsOf(archive)).toEqual([])
  return start({ database: await importArchive(archive) })
}

const LOG = ['events', 'shards']
const PROJECTIONS = [
  'api_key_counters',
  'provider_group_counters',
  'key_counters',
  'provider_groups',
  'api_keys',
  'keys',
  'parked_events',
]

/** Returns the rows of tables, without the times at which events were parked. */
async function dump(
  { database }: Pick<TestService, 'database'>,
  tables: string[],
): Promise<string[][]> {
  const rows = await Promise.all(tables.map((table) => dumpTable(database.owner, table)))
  return rows.map((table, i) =>
    tables[i] === 'parked_events' ? table.map((row) => row.replace(/,[^,]*$/, '')) : table,
  )
}

test(
  `a history continues unchanged after a move, in ${runs} histories`,
  async () => {
    const property = fc.asyncProperty(steps, steps, async (before, after) => {
      const old = await start()
      const place = new Place(old)
      const session = await Session.begin(place.asService(), 1)
      for (const step of before) await session.take(step)
      await session.compareTotals()

      const moved = await move(old)
      // A reset raises it as a read of the past does; it follows from no event.
      await old.database.owner`update shards set not_before = '-infinity'`
      expect(await dump(moved, LOG)).toEqual(await dump(old, LOG))
      expect(await dump(moved, PROJECTIONS)).toEqual(await dump(old, PROJECTIONS))
      // They include retries of flushes from before the move.
      place.service = moved
      for (const step of after) await session.take(step)
      await session.compareTotals()
      await endServices()
    })
    await fc.assert(property, parametersOf(runs))
  },
  timeoutOf(runs * 10),
)

test('a retry of a flush from before the export is a replay after the import', async () => {
  const old = await start()
  const body = { keys: [{ api_key_id: 1, requests: 5, success_requests: 4 }] }
  const post = (service: TestService) =>
    service.post('/internal/apikey-stats/flush', body, { 'idempotency-key': 'flush-1' })
  await old.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  const first = await post(old)
  const moved = await move(old)
  const retry = await post(moved)
  expect(retry.headers.get('idempotency-replayed')).toBe('true')
  expect(retry.headers.get('tallybook-position')).toBe(first.headers.get('tallybook-position'))
  expect(await retry.json()).toEqual(await first.json())
  expect(await moved.read('/admin/apikey-stats/summary')).toMatchObject({ total_requests: 5 })
})

test('attestations move with the log and remain valid', async () => {
  const old = await start()
  await fillService(old)
  await insertEvent(old.database.owner, { type: 'ProjectionAttested', payload: '{}' })
  const moved = await move(old)
  expect(await dump(moved, LOG)).toEqual(await dump(old, LOG))
  for (const path of ['/admin/attestations', '/admin/apikey-stats/summary?attested=true']) {
    expect(await moved.read(path)).toEqual(await old.read(path))
  }
  const attest = () => moved.fetch('admin', '/admin/attestations', { method: 'POST' })
  expect(await (await attest()).json()).toEqual({ items: [] })
  await moved.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: 1, requests: 1 }] })
  expect((await attest()).status).toBe(201)
  await untilSigned(moved)
  const { findings } = await auditService(moved)
  expect(findings).toEqual([])
})

test('a running service shows a log that is imported into its database', async () => {
  const old = await start()
  await old.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  const flush = { keys: [{ api_key_id: 1, requests: 5, success_requests: 4 }] }
  for (let i = 0; i < 20; i++) await old.post('/internal/apikey-stats/flush', flush)
  const archive = nextArchive()
  const exported = await runCommand(['export', archive], old.database.address)
  expect(exported).toMatchObject({ code: 0, stderr: '' })

  const running = await start()
  expect(await running.read('/admin/apikey-stats/summary')).toMatchObject({ total_requests: 0 })
  const imported = await runCommand(['import', archive], running.database.address)
  expect(imported).toMatchObject({ code: 0, stderr: '' })
  expect(await running.read('/admin/apikey-stats/summary')).toMatchObject({ total_requests: 100 })
  // Its catalog was empty: an append detects that, and attributes with the imported catalog.
  const response = await running.post('/internal/apikey-stats/flush', flush)
  expect(await response.json()).toEqual({ updated: 1, groups_updated: 1 })
  expect(await running.read('/admin/apikey-stats/summary')).toMatchObject({ total_requests: 105 })
})

test('payloads that only the owner can write are moved byte for byte', async () => {
  const old = await createDatabase()
  const { owner } = old
  for (const payload of [
    '{\n  "hashes": []\r\n}',
    ' {"a":1,"a":2} ',
    '"\\ud800"',
    '[1e999,-0,0.10]',
    `{"deep":${'['.repeat(500)}${']'.repeat(500)}}`,
    '{"payload":{"leaf_hash":"x"}}',
    '"ünïcødé \u2028 😀"',
  ]) {
    await insertEvent(owner, { payload })
    await insertEvent(owner, { type: 'Made "up",\n\t\\', payload })
  }
  const archive = nextArchive()
  await writeTestArchive(old, archive, { part: { events: 3, characters: 1_000_000 } })
  expect(await problemsOf(archive)).toEqual([])
  const moved = await importArchive(archive)
  expect(await dump({ database: moved }, LOG)).toEqual(await dump({ database: old }, LOG))
  await old.drop()
  await moved.drop()
})

test('an export during flushes is a prefix of the log', async () => {
  const service = await start()
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  let posting = true
  let posted = 0
  const flush = { keys: [{ api_key_id: 1, requests: 1, success_requests: 1 }] }
  const posters = Array.from({ length: 4 }, async () => {
    for (; posting; posted++) await service.post('/internal/apikey-stats/flush', flush)
  })
  await until(() => posted > 10)
  const archive = nextArchive()
  await writeTestArchive(service.database, archive)
  posting = false
  await Promise.all(posters)
  expect(await problemsOf(archive)).toEqual([])

  const database = await importArchive(archive)
  const moved = await start({ database })
  const log = await dumpTable(service.database.owner, 'events')
  const prefix = await dumpTable(database.owner, 'events')
  expect(prefix.length).toBeGreaterThan(0)
  const known = new Set(log)
  expect(prefix.filter((row) => !known.has(row))).toEqual([])
  const [gaps] = await database.owner`
    select count(*)::integer as count
    from (select e.shard, max(e.position) + 1 - count(*) as gap from events e group by e.shard) g
    where g.gap <> 0`
  expect(gaps!.count).toBe(0)
  const { total_requests } = await moved.read<{ total_requests: number }>(
    '/admin/apikey-stats/summary',
  )
  // Every event except the catalog change counts one request.
  expect(total_requests).toBe(prefix.length - 1)
})

test('an import of two events with the same idempotency key is refused', async () => {
  const forged = nextArchive()
  const database = await createDatabase({ shards: 1 })
  const { owner } = database
  await owner`drop index ${owner(await readKeyIndex(owner))}`
  await owner`
    insert into events (
      shard, position, type, version, recorded_at, source, idempotency_key, payload, payload_sha256
    )
    select 0, position, 'Any', 1, now(), 'dp', 'twice', '{}', sha256('{}')
    from generate_series(0, 1) as position`
  await writeTestArchive(database, forged)
  await database.drop()
  expect(await problemsOf(forged)).toEqual([])
  const target = await createDatabase({ shards: 1 })
  expect(await importTestArchive(target, forged)).toContain('same source and idempotency key')
  expect(await countEvents(target.owner)).toBe(0)
  await target.drop()
})
