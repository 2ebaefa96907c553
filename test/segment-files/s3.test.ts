import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { putSegment } from '../../src/segment-files/put.ts'
import { openS3, type S3Timeouts } from '../../src/segment-files/stores/s3.ts'
import type { SegmentStore } from '../../src/segment-files/stores/store.ts'
import { freePort } from '../support/free-port.ts'
import { inPages, makeFlushes } from './events.ts'
import { type FaultyHttp, type HttpFault, startFaultyHttp } from './faulty-http.ts'
import { planOf } from './folder.ts'
import { type PlainS3, startPlainS3 } from './plain-s3.ts'
import { inPieces, makeBytes, testStore } from './store-contract.ts'

// S3 as a store, when the server and the network work, and when they fail in each way they can.

const PATIENT: S3Timeouts = { request: 20_000, part: 20_000, retries: [1, 1] }
/** For faults after which nothing comes. */
const IMPATIENT: S3Timeouts = { request: 400, part: 800, retries: [1] }

let server: PlainS3
let proxy: FaultyHttp

beforeAll(async () => {
  server = startPlainS3()
  proxy = await startFaultyHttp(server.url)
})
afterEach(() => {
  proxy.end()
  server.objects.clear()
})

afterAll(async () => {
  await proxy.close()
  await server.stop()
})

const openAt = (endpoint: string, timeouts: S3Timeouts, bucket = 'segments'): SegmentStore =>
  openS3({
    ...{ bucket, prefix: 'logs/a/', timeouts },
    client: { endpoint, accessKeyId: 'id', secretAccessKey: 'secret', region: 'us-east-1' },
  })

describe('contract', () => {
  testStore('a bucket', () => openAt(server.url, PATIENT))
})

const BYTES = makeBytes(50_000)
/** Two parts of an upload. */
const LARGE = makeBytes(10_000_000)

type Outcome = 'unavailable' | 'denied' | 'full' | 'lied'
type Case = [fault: HttpFault, outcome: Outcome]

const READS: Case[] = [
  ['drop the question', 'unavailable'],
  ['drop the answer', 'unavailable'],
  ['never answer', 'unavailable'],
  ['answer 500', 'unavailable'],
  ['answer 503 SlowDown', 'unavailable'],
  ['answer 403 AccessDenied', 'denied'],
  ['answer 404 NoSuchBucket', 'unavailable'],
  ['redirect', 'unavailable'],
  ['answer another protocol', 'unavailable'],
  ['cut the body off', 'unavailable'],
  ['send half of the body', 'lied'],
  ['send the body a byte at a time', 'unavailable'],
  ['send a body without end', 'lied'],
  ['ignore the range', 'lied'],
  ['send another range', 'lied'],
]

test.each(READS)('if the server would %s, a read is %s', async (fault, outcome) => {
  server.objects.set('logs/a/read', BYTES)
  const isSilent = fault === 'never answer' || fault === 'send the body a byte at a time'
  const store = openAt(proxy.url, isSilent ? IMPATIENT : PATIENT)
  proxy.begin(fault, ['GET'])
  expect(await store.read('read', { offset: 100, length: 20_000 })).toMatchObject({ kind: outcome })
  proxy.end()
  // The same once: what is unavailable is tried again.
  if (outcome === 'unavailable' && !isSilent) {
    proxy.begin(fault, ['GET'], 1)
    const read = await store.read('read', { offset: 100, length: 20_000 })
    expect(read).toEqual({ kind: 'read', bytes: BYTES.subarray(100, 20_100) })
    proxy.end()
  }
})

const PUTS: Case[] = [
  ['drop the question', 'unavailable'],
  ['drop the answer', 'unavailable'],
  ['never answer', 'unavailable'],
  ['answer 500', 'unavailable'],
  ['answer 503 SlowDown', 'unavailable'],
  ['answer 403 AccessDenied', 'denied'],
  ['answer 404 NoSuchBucket', 'unavailable'],
  ['answer 507 full', 'full'],
  ['answer 403 QuotaExceeded', 'full'],
  ['redirect', 'unavailable'],
  ['answer another protocol', 'unavailable'],
  ['lose the end of what is sent', 'lied'],
  ['change what is sent', 'lied'],
]

const EVENTS = makeFlushes(100)

/** Puts a segment; returns what came of it. */
async function put(store: SegmentStore) {
  const put = await putSegment(store, 'put', planOf(EVENTS), inPages(EVENTS))
  return put.kind === 'failed' ? put.failure.kind : put.kind
}

/** Puts it again, as the archiver does after a failure. */
async function putAgain() {
  const store = openAt(server.url, PATIENT)
  await store.remove('put')
  expect(await put(store)).toBe('stored')
  await store.remove('put')
}

test.each(PUTS)('if the server would %s, a segment that is put is %s', async (fault, outcome) => {
  const store = openAt(proxy.url, fault === 'never answer' ? IMPATIENT : PATIENT)
  proxy.begin(fault, ['PUT'])
  expect(await put(store)).toBe(outcome)
  proxy.end()
  await putAgain()
})

const PARTS = PUTS.filter(([, outcome]) => outcome !== 'lied')

test.each(PARTS)(
  'if the server would %s to a part, nothing of a large object is there',
  async (fault, outcome) => {
    const store = openAt(proxy.url, fault === 'never answer' ? IMPATIENT : PATIENT)
    for (const methods of [['PUT'], ['POST']]) {
      proxy.begin(fault, methods)
      const failed = await store.put('large', inPieces(LARGE))
      expect(failed).toMatchObject({ kind: outcome })
      proxy.end()
      await store.remove('large')
      expect(server.objects.has('logs/a/large')).toBe(false)
    }
  },
)

test('if the first attempt at a part fails, the second one succeeds', async () => {
  const store = openAt(proxy.url, PATIENT)
  proxy.begin('answer 500', ['PUT'], 1)
  expect(await store.put('large', inPieces(LARGE))).toMatchObject({ kind: 'stored' })
  proxy.end()
  expect(server.objects.get('logs/a/large')!.equals(LARGE)).toBe(true)
  await store.remove('large')
})

test.each([
  ['change the body', ['GET'], 'lied'],
  ['answer 500', ['GET'], 'unavailable'],
  ['answer 500', ['HEAD'], 'unavailable'],
  ['answer 403 AccessDenied', ['HEAD'], 'denied'],
] as const)(
  'if the server would %s to %p, a segment is not stored',
  async (fault, methods, kind) => {
    proxy.begin(fault, methods)
    expect(await put(openAt(proxy.url, PATIENT))).toBe(kind)
    proxy.end()
    await putAgain()
  },
)

test('a bucket that is missing, and a server that is, are unavailable', async () => {
  const none = openAt(server.url, PATIENT, 'other-bucket')
  expect(await none.list()).toMatchObject({ kind: 'unavailable' })
  expect(await none.read('a', { offset: 0, length: 1 })).toMatchObject({ kind: 'unavailable' })
  const gone = openAt(`http://127.0.0.1:${await freePort()}`, PATIENT)
  const answers = [
    ...[await gone.put('a', inPieces(BYTES)), await gone.size('a'), await gone.list()],
    ...[await gone.read('a', { offset: 0, length: 1 }), await gone.remove('a')],
  ]
  expect(answers.map(({ kind }) => kind)).toEqual(Array(5).fill('unavailable'))
  // The URL to which a request went is a secret.
  expect(JSON.stringify(answers)).not.toContain('X-Amz')
})

test('without credentials, everything is denied', async () => {
  const client = { endpoint: server.url, accessKeyId: '', secretAccessKey: '' }
  const store = openS3({ bucket: 'segments', prefix: '', client, timeouts: PATIENT })
  expect(await store.size('a')).toMatchObject({ kind: 'denied' })
  expect(await store.list()).toMatchObject({ kind: 'denied' })
})
