import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { visitEvents } from '../../src/log/visit.ts'
import { openPools } from '../../src/platform/postgres/pool.ts'
import { integrateEvents } from '../../src/proofs/transparency/integrate.ts'
import { archiveSegments } from '../../src/retention/archive.ts'
import { readSegments } from '../../src/retention/list.ts'
import { openS3 } from '../../src/segment-files/stores/s3.ts'
import type { SegmentStore } from '../../src/segment-files/stores/store.ts'
import { packShard } from '../../src/segments/packing.ts'
import { type FaultyHttp, type HttpFault, startFaultyHttp } from '../segment-files/faulty-http.ts'
import { type PlainS3, startPlainS3 } from '../segment-files/plain-s3.ts'
import { useSmallSegments } from '../support/archived.ts'
import { editLog, insertFlushes } from '../support/events.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'

// A bucket that fails, lies or is full while segments move: none leaves the database before its
// file was read back, and when the bucket works again, all move on.

let database: TestDatabase
let bucket: PlainS3
let proxy: FaultyHttp
let store: SegmentStore

beforeAll(async () => {
  bucket = startPlainS3()
  proxy = await startFaultyHttp(bucket.url)
  store = openS3({
    ...{ bucket: 'segments', prefix: '', timeouts: { request: 400, part: 800, retries: [1] } },
    client: { endpoint: proxy.url, accessKeyId: 'i', secretAccessKey: 's', region: 'us-east-1' },
  })
})
beforeEach(async () => {
  proxy.end()
  bucket.objects.clear()
  await database?.drop()
  database = await createDatabase({ shards: 1 })
  await useSmallSegments(database, 1)
  await insertFlushes(database.owner, 130)
  await packShard(database.owner, database.address, 0)
  while ((await integrateEvents(database.owner, 0)) > 0);
  // As if all were folded.
  await database.owner`update checkpoints set position = 129`
})
afterAll(async () => {
  await database.drop()
  await proxy.close()
  await bucket.stop()
})

async function archive(): Promise<{ states: string[]; problems: string[] }> {
  const pools = openPools(database.address, 1)
  try {
    const run = await archiveSegments({
      ...{ address: database.address, sql: pools.read, store, keepDays: 1, heads: null },
      ...{ signal: new AbortController().signal, onStep: () => {}, leavingMs: 0 },
    })
    const segments = await readSegments(pools.read, { limit: 2, after: null })
    return { states: segments.map(({ state }) => state), problems: run!.problems }
  } finally {
    await pools.close()
  }
}

const passDays = () => database.owner`
  update archived_segments
  set first_recorded_at = first_recorded_at - interval '2 days',
    last_recorded_at = last_recorded_at - interval '2 days'`

async function countInDatabase(): Promise<number> {
  let count = 0
  await visitEvents(database.owner, { shard: 0, after: -1 }, 1_000, () => void count++)
  return count
}

/** The methods of HTTP by which a file is stored and read back. */
const WRITES: readonly [HttpFault, string][] = [
  ['drop the question', 'PUT'],
  ['drop the answer', 'PUT'],
  ['answer 503 SlowDown', 'PUT'],
  ['answer 403 AccessDenied', 'PUT'],
  ['answer 507 full', 'PUT'],
  ['answer 403 QuotaExceeded', 'PUT'],
  ['lose the end of what is sent', 'PUT'],
  ['change what is sent', 'PUT'],
  ['answer 404 NoSuchBucket', 'HEAD'],
  ['change the body', 'GET'],
  ['cut the body off', 'GET'],
  ['send half of the body', 'GET'],
  ['never answer', 'GET'],
]

test.each(WRITES)(
  '%s of %s: the segment is not recorded, and is written later',
  async (fault, m) => {
    proxy.begin(fault, [m])
    const failed = await archive()
    expect(failed.states).toEqual(['full', 'full'])
    expect(failed.problems).toHaveLength(1)
    expect(failed.problems[0]).toStartWith('Segment 0/0 to 63 was not written: ')
    proxy.end()
    expect(await archive()).toEqual({ states: ['written', 'written'], problems: [] })
  },
)

test('a file that does not read as it was written does not let its segment leave', async () => {
  await archive()
  await passDays()
  proxy.begin('change the body', ['GET'])
  const { states, problems } = await archive()
  expect(problems.length).toBeGreaterThan(0)
  expect(states).not.toContain('leaving')
  // The bucket has lied: what it has is not relied on, and all is written once more.
  proxy.end()
  expect((await archive()).problems).toEqual([])
  await passDays()
  expect((await archive()).states).toEqual(['leaving', 'leaving'])
  expect(await countInDatabase()).toBe(130)
})

test('a bucket that is down when a segment would leave keeps it in the database', async () => {
  await archive()
  await passDays()
  expect((await archive()).states).toEqual(['leaving', 'leaving'])
  proxy.begin('answer 500', ['GET', 'HEAD'])
  const { states, problems } = await archive()
  expect(states).toEqual(['written', 'written'])
  expect(problems.length).toBeGreaterThan(0)
  expect(await countInDatabase()).toBe(130)
  proxy.end()
  expect((await archive()).states).toEqual(['leaving', 'leaving'])
  expect(await archive()).toEqual({ states: ['archived', 'archived'], problems: [] })
})

test('a file that was lost while the database has its events is written again', async () => {
  await archive()
  await passDays()
  bucket.objects.clear()
  const { problems } = await archive()
  expect(problems).toHaveLength(2)
  expect(await archive()).toEqual({ states: ['written', 'written'], problems: [] })
  expect(bucket.objects.size).toBe(2)
})

test('a segment of a damaged log stays, is named, and does not hold up others', async () => {
  await editLog(database.owner, (log) => log`delete from events where shard = 0 and position = 70`)
  const { states, problems } = await archive()
  expect(states).toEqual(['written', 'full'])
  expect(problems).toEqual(['Segment 0/64 to 127 stays: Event 0/70 is missing: 0/71 came instead.'])
  expect(bucket.objects.size).toBe(1)
})
