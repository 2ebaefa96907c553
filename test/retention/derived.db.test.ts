import { afterAll, beforeAll, expect, test } from 'bun:test'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { LogScan } from '../../src/bookkeeping/adoption/log-scan.ts'
import { logContains } from '../../src/cluster/replicas/identity.ts'
import { measureLag } from '../../src/cluster/replicas/poll-server.ts'
import { NO_PROGRESS } from '../../src/cluster/replicas/progress.ts'
import { readRecordedAt } from '../../src/log/read.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { PROJECTIONS } from '../../src/read-model/projections/index.ts'
import { openArchive } from '../../src/retention/open.ts'
import { auditArchive, auditService } from '../proofs/verifier/audited.ts'
import {
  importTestArchive,
  makeFolder,
  problemsOf,
  writeTestArchive,
  writeTestParquet,
} from '../support/archive.ts'
import { archiveFull, makeArchive, useSmallSegments } from '../support/archived.ts'
import { positionOf } from '../support/events.ts'
import { SubscribedStream } from '../support/follow.ts'
import { readLive } from '../support/generations.ts'
import { createDatabase, TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// Whatever reads the whole log, to copy it or to fold it again, reads what has left the database.

const SHARDS = TEST_SHARDS
const API_KEYS = '/internal/apikey-stats/flush'
const KEYS = '/internal/stats/flush'
const archive = await makeArchive()
const folder = await makeFolder()
let service: TestService
/** The place of a flush that leaves. */
let old: string
let before: Awaited<ReturnType<typeof readEverything>>

beforeAll(async () => {
  const database = await createDatabase({ shards: SHARDS })
  await useSmallSegments(database, SHARDS, 32)
  service = await startTestService({ database, shards: SHARDS, archive })
  await service.putCatalog({
    ...{ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] },
    keys: [{ token_hash: 'a', quota_limit: 100 }],
    ...{ dimensions: [{ name: 'model' }], measures: [{ name: 'output_tokens' }] },
  })
  for (let i = 0; i < 40 * SHARDS; i++) {
    const sequence = { 'tallybook-sequence': `e/${i < 5 ? i : i + 2}` }
    const details = { dimensions: { model: `m${i % 3}` }, measures: { output_tokens: i } }
    const known = { api_key_id: 1, requests: 2, success_requests: 1, ...details }
    const keys = [known, { api_key: 'sk-x', requests: 1 }]
    const posted = await service.post(API_KEYS, { keys }, sequence)
    if (i === 2) old = positionOf(posted)
    const others = [{ token_hash: 'a', requests: 1, tokens: 3 }]
    const unknown = { token_hash: 'x', requests: 2, tokens: i }
    // One is so large that the database adds it up, as long as it has it.
    const body = JSON.stringify({ keys: [...others, unknown] }).padEnd(i === 3 ? 300 * 1_024 : 0)
    expect((await service.post(KEYS, body)).status).toBe(200)
  }
  before = await readEverything('before')
  for (let shard = 0; shard < SHARDS; shard++) {
    expect(await archiveFull(database, shard, archive)).toBeGreaterThan(1)
  }
})

afterAll(async () => {
  await service.end()
  await Promise.all([archive.remove(), folder.remove()])
})

/** Reads what the tests compare. */
async function readEverything(name: string) {
  const parquet = join(folder.path, `${name}.parquet`)
  await writeTestParquet(service.database, parquet, archive)
  const exported = join(folder.path, name)
  await writeTestArchive(service.database, exported, { archive })
  return {
    rows: await parquetReadObjects({ file: await asyncBufferFromFile(parquet) }),
    events: await readExported(exported),
    streamed: await streamAll(),
    sources: await service.read('/admin/sources'),
    live: await readLive(service, service.database.owner),
    receipt: (await readReceipt()).split('\n').slice(0, 2),
    scanned: await scan(),
  }
}

/** Returns the lines of all parts of an archive. */
async function readExported(directory: string): Promise<string[]> {
  const parts = [...new Bun.Glob('shard-*/*.gz').scanSync(directory)].sort()
  const texts = parts.map(async (part) =>
    Bun.gunzipSync(await Bun.file(join(directory, part)).bytes()),
  )
  return (await Promise.all(texts)).map((text) => Buffer.from(text).toString())
}

/** Reads the log from its first event on as a stream of events. */
async function streamAll(): Promise<unknown[]> {
  const places = Array.from({ length: SHARDS }, (_, shard) => `${shard}/-1`)
  const events: unknown[] = []
  for (const place of places) {
    const shard = Number(place.split('/')[0])
    const stream = await SubscribedStream.open(service, `shard=${shard}&after=-1`)
    const [row] = await service.database.owner<{ head: string }[]>`select head_of(${shard}) as head`
    events.push(...(await stream.events(Number(row!.head) + 1)))
    stream.cut()
  }
  return events
}

async function readReceipt(): Promise<string> {
  const response = await service.post('/internal/receipts', { position: old })
  expect(response.status).toBe(200)
  return response.text()
}

/** Runs `read` with connections like those of a service. */
async function withPools<Value>(read: (pools: Pools) => Promise<Value>): Promise<Value> {
  const pools = openPools(service.database.address, SHARDS)
  const opened = openArchive(service.database.address, pools, archive)
  try {
    return await read(pools)
  } finally {
    await opened.close()
    await pools.close()
  }
}

/** Scans shard 0 for a name, as an adoption does of names that are not kept apart. */
const scan = () =>
  withPools(async ({ read }) => {
    const names = new Map([['x', { through: -1, until: '' }]])
    const scan = new LogScan({ shard: 0, kind: 'key', after: -1, reversed: new Set(), names })
    while (scan.countLeft(60) > 0) await scan.readStep(read, 60)
    return scan.toRows()
  })

test('exports, streams, receipts and scans are the same after flushes have left', async () => {
  const after = await readEverything('after')
  expect(before.rows.length).toBeGreaterThan(150)
  expect(before.events.length).toBe(SHARDS)
  expect(before.scanned).not.toEqual([])
  for (const name of Object.keys(before) as (keyof typeof before)[]) {
    expect([name, after[name]]).toEqual([name, before[name]])
  }
})

test('an export can be imported, and both pass an audit', async () => {
  const exported = join(folder.path, 'moved')
  await writeTestArchive(service.database, exported, { archive })
  expect(await problemsOf(exported)).toEqual([])
  expect((await auditArchive(exported)).findings).toEqual([])
  const database = await createDatabase({ shards: SHARDS })
  try {
    expect(await importTestArchive(database, exported)).toBe(null)
    const select = 'select api_key_id, requests from api_key_counters order by 1, 2'
    const moved = await database.owner.unsafe(select)
    expect(moved).toEqual(await service.database.owner.unsafe(select))
  } finally {
    await database.drop()
  }
  expect((await auditService(service)).findings).toEqual([])
})

test('sources are folded again from the first event', async () => {
  await service.database.owner`update source_folds set version = 0`
  expect<unknown>(await service.read('/admin/sources')).toEqual(before.sources)
})

test('projections that have lost everything are folded again from the first event', async () => {
  const { database } = service
  await service.stop()
  for (const { name, tables } of PROJECTIONS) {
    for (const { name: table } of tables) await database.owner`delete from ${database.owner(table)}`
    await database.owner`update checkpoints set position = -1 where projection = ${name}`
  }
  service = await startTestService({ database, shards: SHARDS, archive })
  expect(await readLive(service, database.owner)).toEqual(before.live)
})

test('a flush that has left can be reversed', async () => {
  const read = () => service.read<{ total_requests: number }>('/admin/api-keys/1')
  const { total_requests: total } = await read()
  await service.act('/admin/corrections', { reverse: old, reason: 'posted twice' })
  expect((await read()).total_requests).toBe(total - 2)
  expect((await auditService(service)).findings).toEqual([])
})

test('a replica whose last event has left the primary is one of this log, and late', async () => {
  const [shard, position] = old.split('/').map(Number)
  const at = Array.from({ length: SHARDS }, (_, one) => (one === shard ? position! : -1))
  const progress = { ...NO_PROGRESS, events: at }
  const event = await service.read<{ payload_sha256: string }>(`/audit/events/${old}`)
  await withPools(async ({ read: sql }) => {
    const [row] = await sql<{ at: string }[]>`
      select ${(await readRecordedAt(sql, shard!, position!))!}::timestamptz::text as at`
    const mark = { shard: shard!, recorded_at: row!.at, payload_sha256: event.payload_sha256 }
    const contains = (lastEvents: (typeof mark)[]) =>
      logContains(sql, { isReplica: true, progress, lastEvents })
    expect(await contains([mark])).toBe(true)
    expect(await contains([{ ...mark, payload_sha256: 'another' }])).toBe(false)
    const primary = { sql, identity: { system: null, database: 1 } }
    const heads = at.map((one) => one + 1)
    const lag = await measureLag(primary, heads, progress)
    expect(lag!.events).toBe(SHARDS)
    expect(lag!.seconds).toBeGreaterThan(0)
  })
})
