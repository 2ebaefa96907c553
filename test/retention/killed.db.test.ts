import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { readWritable } from '../../src/retention/archive.ts'
import type { ListedSegment } from '../../src/retention/list.ts'
import { type FaultyHttp, startFaultyHttp } from '../segment-files/faulty-http.ts'
import { type PlainS3, startPlainS3 } from '../segment-files/plain-s3.ts'
import { useSmallSegments } from '../support/archived.ts'
import { insertFlushes, untilWaiting } from '../support/events.ts'
import { type DataDir, makeDataDir, runTallybook } from '../support/process.ts'
import { createDatabase, type TestDatabase, urlOf } from '../support/server.ts'
import { startTestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// Processes that move segments are killed at every step: the next one continues, and all events are
// where they can be read.

let database: TestDatabase
let dataDir: DataDir
let bucket: PlainS3
let proxy: FaultyHttp

beforeAll(async () => {
  dataDir = await makeDataDir()
  bucket = startPlainS3()
  proxy = await startFaultyHttp(bucket.url)
  database = await createDatabase({ shards: 1 })
  await useSmallSegments(database, 1)
  const service = await startTestService({ database, shards: 1 })
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  await insertFlushes(database.owner, 30)
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1 }] })
  await insertFlushes(database.owner, 170)
  await until(async () => (await readWritable(database.owner)).length === 3)
  await until(async () => {
    await service.read('/admin/usage')
    const [row] = await database.owner<{ behind: number }[]>`
      select count(*)::integer as behind
      from checkpoints c
      where c.position < 192 and c.projection <> 'snapshots'`
    return row!.behind === 0
  })
  await service.stop()
})
beforeEach(() => proxy.end())
afterAll(async () => {
  await database.drop()
  await proxy.close()
  await bucket.stop()
  await dataDir.remove()
})

function start(...args: string[]) {
  return runTallybook(args, dataDir.path, {
    DATABASE_URL: urlOf(database.address),
    TALLYBOOK_SHARDS: '1',
    TALLYBOOK_ARCHIVE_URL: 's3://segments/logs',
    TALLYBOOK_KEEP_DAYS: '1',
    S3_ENDPOINT: proxy.url,
    S3_REGION: 'us-east-1',
    S3_ACCESS_KEY_ID: 'id',
    S3_SECRET_ACCESS_KEY: 'secret',
  })
}

async function run(...args: string[]): Promise<string> {
  const child = start(...args)
  const [stdout, stderr] = [child.stdout.text(), child.stderr.text()]
  expect(`${await child.exited} ${await stderr}${await stdout}`).toStartWith('0 ')
  return stdout
}

const readStates = async () =>
  (JSON.parse(await run('segments', '--json')) as ListedSegment[])
    .slice(0, 4)
    .map(({ state }) => state)

/** Starts a command, and kills it when it is at some point. */
async function killAt(args: string[], isThere: () => Promise<unknown>): Promise<void> {
  const child = start(...args)
  await isThere()
  child.kill('SIGKILL')
  await child.exited
}

/** Waits until nothing of a killed process goes on in the database. */
const untilEnded = () =>
  until(async () => {
    const rows = await database.owner`
      select from pg_locks l where l.locktype = 'advisory' and l.objid in (7365006, 7365007)`
    return rows.length === 0
  })

/** Lets so many days pass for what is in the archive. */
const passDays = (days: number) => database.owner`
  update archived_segments
  set first_recorded_at = first_recorded_at - make_interval(days => ${days}::integer),
    last_recorded_at = last_recorded_at - make_interval(days => ${days}::integer),
    leaving_at = leaving_at - make_interval(days => ${days}::integer)`

/** Holds a lock while `work` is done. */
async function whileLocked(statement: string, work: () => Promise<void>): Promise<void> {
  const owner = connectAsOwner(database.address)
  const connection = await owner.reserve()
  await connection`begin`
  await connection.unsafe(statement)
  await work()
  await connection`rollback`
  connection.release()
  await owner.end()
  await untilEnded()
}

const REGISTRY = 'lock table archived_segments in share row exclusive mode'
const ARCHIVE = ['segments', 'archive']

test('killed while a file is uploaded, read back or recorded, it is written again', async () => {
  for (const method of ['PUT', 'GET']) {
    proxy.begin('never answer', [method])
    const before = proxy.failed
    await killAt(ARCHIVE, () => until(() => proxy.failed > before))
    proxy.end()
    await untilEnded()
    expect(await readStates()).toEqual(['full', 'full', 'full', 'open'])
  }
  await whileLocked(REGISTRY, () => killAt(ARCHIVE, () => untilWaiting(database.owner, 1)))
  expect(await readStates()).toEqual(['full', 'full', 'full', 'open'])
  await run(...ARCHIVE)
  expect(await readStates()).toEqual(['written', 'written', 'written', 'open'])
  expect(await run('segments', 'verify')).toContain('3 segments with 192 events. No problems')
})

test('killed while a segment is verified or marked, all are there', async () => {
  await passDays(2)
  const before = proxy.failed
  proxy.begin('never answer', ['GET'])
  await killAt(ARCHIVE, () => until(() => proxy.failed > before))
  proxy.end()
  await whileLocked(REGISTRY, () => killAt(ARCHIVE, () => untilWaiting(database.owner, 1)))
  // The server has done what it was asked last.
  expect(await readStates()).toEqual(['leaving', 'written', 'written', 'open'])
  await run(...ARCHIVE)
  expect(await readStates()).toEqual(['leaving', 'leaving', 'leaving', 'open'])
})

test('killed while it waits for the exchange, nothing has left', async () => {
  await passDays(2)
  const reader = 'lock table events_0 in access share mode'
  await whileLocked(reader, () => killAt(ARCHIVE, () => untilWaiting(database.owner, 1)))
  expect(await readStates()).toEqual(['leaving', 'leaving', 'leaving', 'open'])
  await run(...ARCHIVE)
  expect(await readStates()).toEqual(['archived', 'archived', 'archived', 'open'])
  await passDays(-4)
  await run('verify')
})

test('killed while a segment is restored, it is still in the archive', async () => {
  const restore = ['segments', 'restore', '0/64']
  const before = proxy.failed
  proxy.begin('never answer', ['GET'])
  await killAt(restore, () => until(() => proxy.failed > before))
  proxy.end()
  const reader = 'lock table events_0 in access share mode'
  await whileLocked(reader, () => killAt(restore, () => untilWaiting(database.owner, 1)))
  expect(await readStates()).toEqual(['archived', 'archived', 'archived', 'open'])
  await run('verify')
  expect(await run(...restore)).toBe('Restored events 0/64 to 127\n')
  expect(await readStates()).toEqual(['archived', 'written', 'archived', 'open'])
  await run('verify')
})

test('what the killed have left in the archive is not taken for segments', async () => {
  const verify = ['segments', 'verify', '--archive', 's3://segments/logs']
  expect(bucket.objects.size).toBeGreaterThan(3)
  expect(await run(...verify)).toBe('3 segments with 192 events. No problems\n')
})

test('a second process does nothing while one archives', async () => {
  const owner = connectAsOwner(database.address)
  const connection = await owner.reserve()
  await connection`select pg_advisory_lock(7365007)`
  const second = start(...ARCHIVE)
  expect(await second.exited).toBe(3)
  expect(await second.stderr.text()).toBe('Another process archives segments.\n')
  connection.release()
  await owner.end()
})

test('a run that waits ends when what is old has left', async () => {
  await database.owner`
    update archived_segments
    set last_recorded_at = last_recorded_at - interval '2 days', restored_at = null`
  const child = start(...ARCHIVE, '--wait')
  await until(async () => {
    const rows = await database.owner`
      select from archived_segments a where a.leaving_at is not null and a.left_at is null`
    return rows.length === 1
  })
  await passDays(2)
  expect(await child.exited).toBe(0)
  expect(await child.stdout.text()).toBe('0 written, 1 leaving, 1 left\n')
  expect(await readStates()).toEqual(['archived', 'archived', 'archived', 'open'])
})
