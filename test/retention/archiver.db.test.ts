import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ListedSegment, SegmentState } from '../../src/retention/list.ts'
import { makeArchive, useSmallSegments } from '../support/archived.ts'
import { createDatabase, TEST_SHARDS } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// A service moves full segments to the archive, and out of the database when they are old.

const FLUSH = '/internal/apikey-stats/flush'
const archive = await makeArchive()
const folder = fileURLToPath(archive.url!)
let service: TestService

beforeAll(async () => {
  const database = await createDatabase({ shards: TEST_SHARDS })
  await useSmallSegments(database, TEST_SHARDS)
  // One day is the least.
  service = await startTestService({
    ...{ database, shards: TEST_SHARDS, archive: { ...archive, keepDays: 1 } },
  })
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
})

afterAll(async () => {
  await service.end()
  await archive.remove()
})

const post = (key: string) =>
  service.post(FLUSH, { keys: [{ api_key_id: 1, requests: 1 }] }, { 'idempotency-key': key })

async function readStates(): Promise<Record<string, SegmentState>> {
  const { items } = await service.read<{ items: ListedSegment[] }>('/admin/segments?limit=1000')
  return Object.fromEntries(
    items.map(({ shard, first_position, state }) => [`${shard}/${first_position}`, state]),
  )
}

const countOf = async (state: SegmentState) =>
  Object.values(await readStates()).filter((other) => other === state).length

/** Lets so many days pass for what is in the archive. */
async function passDays(days: number): Promise<void> {
  await service.database.owner`
    update archived_segments
    set first_recorded_at = first_recorded_at - make_interval(days => ${days}::integer),
      last_recorded_at = last_recorded_at - make_interval(days => ${days}::integer),
      leaving_at = leaving_at - make_interval(days => ${days}::integer)`
}

/** Makes usage be folded, which it is once a minute otherwise. */
const foldUsage = () =>
  until(async () => {
    await service.read('/admin/usage')
    const [row] = await service.database.owner<{ behind: number }[]>`
      select count(*)::integer as behind
      from checkpoints c
        join projections p on p.projection = c.projection and p.generation = c.generation
        join archived_segments a on a.shard = c.shard
      where c.position < a.end_position - 1 and c.projection <> 'snapshots'`
    return row!.behind === 0
  })

const readTotal = async () =>
  (await service.read<{ total_requests: number }>('/admin/api-keys/1')).total_requests

test('full segments are written, and leave when they are old', async () => {
  const posted = 200 * TEST_SHARDS
  for (let i = 0; i < posted; i++) expect((await post(`key-${i}`)).status).toBe(200)
  const full = await until(async () => {
    const states = Object.values(await readStates())
    const isDone = !states.includes('full') && states.includes('written')
    return isDone && states.filter((state) => state === 'written').length
  })
  await foldUsage()
  await passDays(2)
  await until(async () => (await countOf('leaving')) === full)
  await passDays(2)
  await until(async () => (await countOf('archived')) === full)
  const { rows } = await readLeft()
  expect(rows).toBe(0)
  expect(await readTotal()).toBe(posted)
  expect((await post('key-3')).headers.get('idempotency-replayed')).toBe('true')
})

async function readLeft(): Promise<{ rows: number }> {
  const [row] = await service.database.owner<{ rows: number }[]>`
    select count(*)::integer as rows
    from archived_segments a
      join events e on e.shard = a.shard and e.position >= a.first_position
        and e.position < a.end_position
    where a.left_at is not null and e.type like '%Flushed'`
  return row!
}

test('the status and the metrics say so when a file is gone, and when it is back', async () => {
  const [name] = await readdir(join(folder, 'shard-0'))
  const path = join(folder, 'shard-0', name!)
  type Status = { archive: { unreadable: { file_name: string }[] } }
  const readUnreadable = async () =>
    (await service.read<Status>('/admin/status')).archive.unreadable.map((row) => row.file_name)
  expect(await readUnreadable()).toEqual([])
  await rename(path, `${path}-away`)
  await until(async () => (await readUnreadable()).includes(`shard-0/${name}`))
  const metrics = await (await service.fetch(null, '/metrics')).text()
  expect(metrics).toContain('tallybook_archive_unreadable_segments 1')
  await rename(`${path}-away`, path)
  await until(async () => (await readUnreadable()).length === 0)
})

test('while the archive can not be written, segments stay and flushes are counted', async () => {
  const before = await readTotal()
  await rename(folder, `${folder}-away`)
  const posted = 130 * TEST_SHARDS
  for (let i = 0; i < posted; i++) expect((await post(`later-${i}`)).status).toBe(200)
  type Status = { archive: { failing: { reason: string } | null } }
  const readFailing = async () => (await service.read<Status>('/admin/status')).archive.failing
  const failing = await until(readFailing)
  expect(failing.reason).toContain('was not written')
  expect(await countOf('full')).toBeGreaterThan(0)
  await rename(`${folder}-away`, folder)
  await until(async () => (await countOf('full')) === 0 && (await readFailing()) === null)
  expect(await readTotal()).toBe(before + posted)
})
