import { afterAll, beforeAll, expect, test } from 'bun:test'
import { positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { watchWorkers } from '../support/workers.ts'

// Acts with a large body, and reversals of large events, are recorded by the worker.

const KEYS = 4_000

const workers = watchWorkers()
const service = useService()

/** Long enough that a flush of all keys is a large event. */
const hash = (i: number) => `${String(i).padStart(6, '0')}-${'x'.repeat(80)}`
const hashes = Array.from({ length: KEYS }, (_, i) => hash(i))

beforeAll(async () => {
  await service.putCatalog({ keys: hashes.map((token_hash) => ({ token_hash })) })
  await service.putCatalog({ provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] })
})
afterAll(() => workers.restore())

const post = (path: string, body: object, key: string = crypto.randomUUID()) =>
  service.fetch('admin', path, {
    method: 'POST',
    headers: { 'idempotency-key': key },
    body: JSON.stringify(body),
  })
const reverse = (at: string, key?: string, reason = 'posted twice') =>
  post('/admin/corrections', { reverse: at, reason }, key)
const adjust = (requests: number, key?: string) => {
  const keys = [{ token_hash: hash(0), request_count: requests, used_tokens: 0, quota_used: 0 }]
  return post('/admin/corrections', { adjust: { keys }, reason: 'found' }, key)
}
const openAll = (key?: string, tokenHashes = hashes) =>
  post(
    '/admin/balances',
    {
      ...{ as_of: '2026-01-31T12:00:00Z', origin: { system: 'old' } },
      keys: tokenHashes.map((token_hash) => ({
        ...{ token_hash, request_count: 7, used_tokens: 1, quota_used: 1 },
      })),
    },
    key,
  )
/** Posts one request for each key. */
const flushAll = async () => {
  const keys = hashes.map((token_hash) => ({ token_hash, requests: 1 }))
  return positionOf(await service.post('/internal/stats/flush', { keys }))
}
const flush = () => service.post('/internal/stats/flush', { keys: [{ token_hash: hash(1) }] })
const requestsOf = async (i: number) =>
  (await service.read<{ request_count: number }>(`/admin/keys/${hash(i)}`)).request_count

test('a large flush is reversed by the worker, while other requests are answered', async () => {
  const at = await flushAll()
  workers.hold()
  const reversing = reverse(at, 'large')
  await until(() => workers.held === 1)
  const small = positionOf(await adjust(5))
  expect((await reverse(small)).status).toBe(201)
  expect((await flush()).status).toBe(200)
  expect(await requestsOf(0)).toBe(1)
  workers.release()
  const reversed = await reversing
  expect(reversed.status).toBe(201)
  expect(await reversed.json()).toEqual({ position: positionOf(reversed), reversed: at })
  for (const i of [0, 1, KEYS - 1]) expect(await requestsOf(i)).toBe(0)
  await expectProblem(await reverse(at), 409, 'already reversed')
})

test('a retried large reversal is answered as the first one, and any other is refused', async () => {
  const at = await flushAll()
  const first = await reverse(at, 'retried')
  const again = await reverse(at, 'retried')
  expect(again.status).toBe(201)
  expect(again.headers.get('idempotency-replayed')).toBe('true')
  expect(positionOf(again)).toBe(positionOf(first))
  await expectProblem(await reverse(at, 'retried', 'another'), 422, 'idempotency key reused')
  await expectProblem(await adjust(1, 'retried'), 422, 'idempotency key reused')
  expect(await requestsOf(2)).toBe(0)
})

test('large acts are refused as small ones are', async () => {
  const unknown = await openAll('unknown', [...hashes, 'nobody'])
  await expectProblem(unknown, 422, 'unknown accounts')
  const broken = { as_of: 'never', origin: { system: 'x'.repeat(300 * 1024) } }
  await expectProblem(await post('/admin/balances', broken), 400, 'invalid balances')
  const at = await flushAll()
  expect((await adjust(-1)).status).toBe(201)
  await expectProblem(await reverse(at), 409, 'total out of range')
  expect((await adjust(1)).status).toBe(201)
  expect((await reverse(at)).status).toBe(201)
  const reason = { reason: 'x'.repeat(300 * 1024) }
  const reset = `/admin/keys/${hash(0)}/quota-reset`
  await expectProblem(await post(reset, reason), 400, 'invalid quota reset')
  const padded = await service.fetch('admin', reset, {
    method: 'POST',
    body: JSON.stringify({ reason: 'new contract' }).padEnd(300 * 1024),
  })
  expect(padded.status).toBe(201)
})

test('an act of a worker that dies is recorded by its repeat, once', async () => {
  const before = await requestsOf(3)
  workers.hold()
  const lost = openAll('killed')
  await until(() => workers.held === 1)
  workers.kill()
  await expectProblem(await lost, 503, 'worker ended')
  expect((await openAll('killed')).status).toBe(201)
  expect((await openAll('killed')).headers.get('idempotency-replayed')).toBe('true')
  expect(await requestsOf(3)).toBe(before + 7)
  await expectProblem(await openAll(), 409, 'already open')
})

test('of large and small acts at once, none is decided by a state before another', async () => {
  const before = await Promise.all([0, 1].map(requestsOf))
  const events = [await flushAll(), await flushAll()]
  const answers = await Promise.all([
    ...events.flatMap((at) => [reverse(at), reverse(at)]),
    ...Array.from({ length: 6 }, () => adjust(1)),
  ])
  const statuses = answers.map(({ status }) => status).sort()
  expect(statuses).toEqual([...Array(8).fill(201), 409, 409])
  expect(await Promise.all([0, 1].map(requestsOf))).toEqual([before[0]! + 6, before[1]!])
})

test('a large act is shown with what it took from each account', async () => {
  const at = await flushAll()
  const position = positionOf(await reverse(at))
  const event = await service.read<{ entries: object[] }>(`/audit/events/${position}`)
  expect(event.entries).toHaveLength(KEYS)
  expect(event.entries.at(-1)).toMatchObject({ token_hash: hash(KEYS - 1), requests: -1 })
  const { items } = await service.read<{ items: object[] }>(`/audit/explain?token_hash=${hash(5)}`)
  expect(items.at(-1)).toMatchObject({ type: 'EventReversed', counted: { requests: -1 } })
})
