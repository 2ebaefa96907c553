import { afterAll, beforeAll, expect, test } from 'bun:test'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { packShard } from '../../src/segments/packing.ts'
import { type DataDir, makeDataDir, readUrl, runTallybook } from '../support/process.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase, urlOf } from '../support/server.ts'
import { startTestService, TOKENS } from '../support/service.ts'

// Services that are killed while they fill segments and pack their keys: every flush counts once.

/** Flushes of each run, and runs; each run ends in a kill. */
const FLUSHES = 500
const RUNS = 4

let database: TestDatabase
let dataDir: DataDir

beforeAll(async () => {
  database = await createDatabase()
  dataDir = await makeDataDir()
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    await database.owner.unsafe(`
      drop table events_${shard}_0;
      delete from segments where shard = ${shard};
      select create_segment(${shard}, n * 128, 128) from generate_series(0, 4) n`)
  }
})
afterAll(async () => {
  await database.drop()
  await dataDir.remove()
})

/** Posts flushes with the keys from `first` on, 20 at a time. Calls `onAnswer` for each answer. */
async function post(url: string, first: number, count: number, onAnswer: (status: string) => void) {
  let next = first
  const postNext = async () => {
    while (next < first + count) {
      const key = `key-${next++}`
      const answer = await fetch(`${url}/internal/apikey-stats/flush`, {
        method: 'POST',
        headers: { authorization: `Bearer ${TOKENS.dp}`, 'idempotency-key': key },
        body: '{"keys":[{"api_key_id":1,"requests":1}]}',
      }).catch(() => null)
      onAnswer(`${answer?.status} ${answer?.headers.get('idempotency-replayed')}`)
    }
  }
  await Promise.all(Array.from({ length: 20 }, postNext))
}

test('a log of small segments loses nothing and counts nothing twice', async () => {
  for (let run = 0; run < RUNS; run++) {
    const env = { DATABASE_URL: urlOf(database.address), TALLYBOOK_SHARDS: `${TEST_SHARDS}` }
    const service = runTallybook(['serve'], dataDir.path, { ...env, TALLYBOOK_SEGMENT_MB: '1' })
    const url = await readUrl(service)
    if (run === 0) {
      const catalog = await fetch(`${url}/admin/catalog`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${TOKENS.admin}` },
        body: '{"api_keys":[{"id":1}]}',
      })
      expect(catalog.status).toBe(200)
    }
    // A start packs what is full: this one is killed while it does so, or soon after.
    let answers = 0
    await post(url, run * FLUSHES, FLUSHES, () => {
      if (++answers === Math.floor(FLUSHES / (run + 1))) service.kill('SIGKILL')
    })
    service.kill('SIGKILL')
    await service.exited
  }
  const service = await startTestService({ database, segmentBytes: 1 })
  const statuses = new Set<string>()
  await post(service.url, 0, RUNS * FLUSHES, (status) => statuses.add(status))
  expect([...statuses].sort()).toEqual(['200 null', '200 true'])
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    await packShard(database.owner, database.address, shard)
  }
  const again = new Set<string>()
  await post(service.url, 0, RUNS * FLUSHES, (status) => again.add(status))
  expect([...again]).toEqual(['200 true'])
  const { total_requests } = await service.read<{ total_requests: number }>('/admin/api-keys/1')
  expect(total_requests).toBe(RUNS * FLUSHES)
  await service.stop()
  const [packed] = await database.owner<{ keys: number }[]>`
    select sum(octet_length(k.entries) / 14)::integer as keys from packed_keys k`
  expect(packed!.keys).toBeGreaterThan(RUNS * 128)
  const { signal } = new AbortController()
  const { first } = await verifyDatabase(database.address, { signal, onProgress: () => {} })
  expect(first).toEqual([])
})
