import { afterAll, beforeAll, expect, test } from 'bun:test'
import { rename, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { archiveFull, makeArchive, useSmallSegments } from '../support/archived.ts'
import { expectProblem } from '../support/problem.ts'
import { createDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'

// An idempotency key is remembered when its flush has left the database. While the archive can't
// tell, the flush is neither counted nor refused, and others don't wait for it.

const FLUSH = '/internal/apikey-stats/flush'
const archive = await makeArchive()
let service: TestService

beforeAll(async () => {
  const database = await createDatabase({ shards: 1 })
  await useSmallSegments(database, 1)
  service = await startTestService({ database, shards: 1, archive })
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
  for (let i = 0; i < 200; i++) expect((await post(`key-${i}`)).status).toBe(200)
  await archiveFull(database, 0, archive)
})

afterAll(async () => {
  await service.end()
  await archive.remove()
})

const post = (key: string, requests = 3) =>
  service.post(FLUSH, { keys: [{ api_key_id: 1, requests }] }, { 'idempotency-key': key })

const readTotal = async () =>
  (await service.read<{ total_requests: number }>('/admin/api-keys/1')).total_requests

/** Takes the archive away while `run` runs. */
async function withoutArchive(run: () => Promise<void>): Promise<void> {
  const folder = fileURLToPath(archive.url!)
  await rename(folder, `${folder}-away`)
  try {
    await run()
  } finally {
    await rename(`${folder}-away`, folder)
  }
}

test('while the archive is away, retries wait and other flushes are counted', async () => {
  const before = await readTotal()
  await withoutArchive(async () => {
    await service.stop()
    await rm(archive.cacheFolder, { recursive: true, force: true })
    service = await startTestService({ database: service.database, shards: 1, archive })
    expect(await readTotal()).toBe(before)
    const retried = post('key-7')
    const others = await Promise.all(Array.from({ length: 20 }, (_, i) => post(`during-${i}`)))
    expect(others.map(({ status }) => status)).toEqual(Array(20).fill(200))
    const refused = await retried
    expect(refused.headers.get('retry-after')).toBe('10')
    await expectProblem(refused, 503, 'archive unavailable')
    // A flush that is in the database.
    expect((await post('key-199')).headers.get('idempotency-replayed')).toBe('true')
  })
  expect(await readTotal()).toBe(before + 60)
})

test('retries in one batch are answered each by its first attempt', async () => {
  const before = await readTotal()
  const retries = Array.from({ length: 60 }, (_, i) => post(`key-${i}`))
  const fresh = Array.from({ length: 10 }, (_, i) => post(`fresh-${i}`))
  const positions = new Set<string>()
  for (const response of await Promise.all(retries)) {
    expect(response.status).toBe(200)
    expect(response.headers.get('idempotency-replayed')).toBe('true')
    positions.add(response.headers.get('tallybook-position')!)
  }
  expect(positions.size).toBe(60)
  for (const response of await Promise.all(fresh)) {
    expect(response.headers.get('idempotency-replayed')).toBeNull()
  }
  expect(await readTotal()).toBe(before + 30)
})

test('a key of a flush with other entries is refused', async () => {
  await expectProblem(await post('key-3', 4), 422, 'idempotency key reused')
})

test('a key whose hash is that of another, archived one is counted', async () => {
  // The packed entry of key-9 under the hash of a key that was never posted.
  const { owner } = service.database
  await owner`
    insert into packed_keys (shard, first, entries)
    select 0, h.hash, h.hash || substring(int8send(10) from 3)
    from key_hash('dp', 'same-hash') as h(hash)
    on conflict (shard, first) do nothing`
  const before = await readTotal()
  const first = await post('same-hash')
  expect(first.status).toBe(200)
  expect(first.headers.get('idempotency-replayed')).toBeNull()
  expect((await post('same-hash')).headers.get('idempotency-replayed')).toBe('true')
  expect(await readTotal()).toBe(before + 3)
})
