import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Report, verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { logArchiveOf } from '../../src/retention/log-archive.ts'
import { ARCHIVED_CORRUPTIONS } from '../proofs/integrity/corruptions/archived.ts'
import { archiveFull, makeArchive, useSmallSegments } from '../support/archived.ts'
import { createDatabase, TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// What has left the database is verified as everything else.

const FLUSH = '/internal/apikey-stats/flush'
const archive = await makeArchive()
let service: TestService

beforeAll(async () => {
  const database = await createDatabase({ shards: TEST_SHARDS })
  await useSmallSegments(database, TEST_SHARDS)
  service = await startTestService({ database, shards: TEST_SHARDS, archive })
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  for (let i = 0; i < 200 * TEST_SHARDS; i++) {
    const keys = [{ api_key_id: 1, requests: 1 }]
    await service.post(FLUSH, { keys }, { 'idempotency-key': `key-${i}` })
  }
  await service.read('/admin/usage')
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    await archiveFull(database, shard, archive)
  }
})

afterAll(async () => {
  await service.end()
  await archive.remove()
})

const verify = (): Promise<Report> =>
  verifyDatabase(service.database.address, {
    signal: new AbortController().signal,
    onProgress: () => {},
    archive: logArchiveOf(service.database.address, archive),
  })

test('a database of which segments have left has no problems', async () => {
  const { problems, first } = await verify()
  expect(
    first.map(({ check, at, expected, found }) => `${at} ${check} ${expected} ${found}`),
  ).toEqual([])
  expect(problems).toBe(0)
})

test('every change of the list of archived segments is reported, or known to be none', async () => {
  const { owner } = service.database
  const found: string[] = []
  await owner`create table public.saved as select * from archived_segments`
  for (const { column, change, value, where, at, foundBy } of ARCHIVED_CORRUPTIONS) {
    const [row] = await owner.unsafe<{ at: string }[]>(
      `update archived_segments set ${column} = ${value} where ${where} returning ${at} as at`,
    )
    const { first, problems } = await verify()
    const isFound = first.some((problem) => problem.at === row!.at && problem.check === foundBy)
    const isExpected = foundBy === null ? problems === 0 : isFound
    if (!isExpected) found.push(`${column}, ${change}: ${JSON.stringify(first.slice(0, 3))}`)
    await owner`delete from archived_segments`
    await owner`insert into archived_segments select * from public.saved`
  }
  expect(found).toEqual([])
  expect((await verify()).problems).toBe(0)
})

test('an event that stayed must be that of the archive', async () => {
  const { owner } = service.database
  const change = async (payload: string) =>
    owner.begin(async (transaction) => {
      await transaction`set local session_replication_role = replica`
      const [old] = await transaction<{ payload: string }[]>`
        select payload::text from events where shard = 0 and position = 0`
      await transaction`
        update events set payload = ${payload}::text::json where shard = 0 and position = 0`
      return old!.payload
    })
  const before = await change('{}')
  const { first } = await verify()
  expect(first.map(({ check, at }) => `${at} ${check}`)).toContain('0/0 archive')
  await change(before)
  expect((await verify()).problems).toBe(0)
})

test('a file that is gone or changed is reported, and what it has is not compared', async () => {
  // The folder may also have a file that the service has written at the same time as the test.
  const [listed] = await service.database.owner<{ name: string }[]>`
    select a.file_name as name from archived_segments a order by a.shard, a.first_position limit 1`
  const path = join(fileURLToPath(archive.url!), listed!.name)
  const content = await readFile(path)
  await rm(archive.cacheFolder, { recursive: true, force: true })
  await rm(path)
  const gone = await verify()
  expect(new Set(gone.first.map(({ check }) => check))).toEqual(new Set(['archive']))
  const changed = Buffer.from(content)
  changed[200]! ^= 1
  await writeFile(path, changed)
  const report = await verify()
  expect(new Set(report.first.map(({ check }) => check))).toEqual(new Set(['archive']))
  await writeFile(path, content)
  expect((await verify()).problems).toBe(0)
})
