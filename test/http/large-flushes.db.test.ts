import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { toAnswer } from '../property/exact.ts'
import { type FuzzedFlush, fuzzedFlush } from '../property/fuzz-bodies.ts'
import { parametersOf, runsOf } from '../property/runs.ts'
import { insertEvent } from '../support/events.ts'
import { expectProblem, readProblem } from '../support/problem.ts'
import { startTestService, useService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { watchWorkers } from '../support/workers.ts'

// Flushes with bodies so large that the worker parses and appends them.

const API_KEYS = '/internal/apikey-stats/flush'
const KEYS = '/internal/stats/flush'
/** More bytes than a body that the main thread parses. */
const LARGE = 300 * 1024
const ENTRIES = 12_000

const workers = watchWorkers()
const service = useService({ shards: 1 })

beforeAll(async () => {
  await service.putCatalog({
    provider_groups: [{ id: 1 }, { id: 2 }],
    api_keys: Array.from({ length: 100 }, (_, i) => ({ id: i + 1, group_id: i % 3 })),
    keys: [
      { token_hash: 'k1' },
      ...Array.from({ length: ENTRIES }, (_, i) => ({ token_hash: hashOf(i) })),
    ],
  })
})
afterAll(() => workers.restore())

const hashOf = (i: number) => `token-${i}-${'x'.repeat(30)}`
const flushOf = (entries: unknown[]) => JSON.stringify({ keys: entries }).padEnd(LARGE)
const apiKeyFlush = () =>
  flushOf(
    Array.from({ length: ENTRIES }, (_, i) => ({
      api_key_id: (i % 120) + 1,
      requests: 3,
      success_requests: i % 4,
    })),
  )
const keyFlush = () =>
  flushOf(Array.from({ length: ENTRIES }, (_, i) => ({ token_hash: hashOf(i), requests: 2 })))

const readTotal = async (query = '') => {
  const path = `/admin/apikey-stats/summary${query}`
  const { body } = await toAnswer(await service.fetch('admin', path))
  return (body as { total_requests: bigint }).total_requests
}

const runs = runsOf(60)

test(`a large body is treated like an equivalent small one, in ${runs} runs`, async () => {
  const send = async ({ kind, bytes }: Pick<FuzzedFlush, 'kind' | 'bytes'>) => {
    const path = kind === 'keys' ? KEYS : API_KEYS
    const response = await service.fetch('dp', path, { method: 'POST', body: bytes })
    const position = response.headers.get('tallybook-position')?.slice(2) ?? null
    const [event] = position
      ? await service.database.owner`
          select type, version, source, idempotency_key, payload::text, payload_sha256
          from events where shard = 0 and position = ${position}`
      : []
    // A refused time is compared with the clock, which is further on for the second body.
    const body = (await response.text()).replace(/counted_at is before \d+/, 'counted_at is early')
    return { status: response.status, body, event }
  }
  const property = fc.asyncProperty(fuzzedFlush, async ({ kind, bytes }) => {
    const large = new Uint8Array(LARGE).fill(0x20)
    large.set(bytes)
    // A space, because broken UTF-8 at the end would swallow the padding of the other body.
    expect(await send({ kind, bytes: large })).toEqual(
      await send({ kind, bytes: new Uint8Array([...bytes, 0x20]) }),
    )
  })
  await fc.assert(property, parametersOf(runs))
}, 120_000)

test('a large body with an error at its end is refused like a small one', async () => {
  const entries = '{"api_key_id":1,"requests":1},'.repeat(ENTRIES)
  const response = await service.post(
    API_KEYS,
    `{"keys":[${entries}{"api_key_id":1,"requests":-1}]}`,
  )
  expect(await readProblem(response)).toMatchObject({
    status: 400,
    error: 'invalid stats payload',
    detail: `keys[${ENTRIES}].requests is negative.`,
  })
})

test('large flushes count in current reads, reads of the past and explanations', async () => {
  const before = await readTotal()
  const first = await service.post(API_KEYS, apiKeyFlush())
  const at = first.headers.get('tallybook-position')!
  expect(await first.json()).toEqual({ updated: 100, groups_updated: 2 })
  // 66 of 120 ids are known and in a group; each has ENTRIES / 120 entries.
  const counted = BigInt(3 * (ENTRIES / 120) * 66)
  expect(await readTotal()).toBe(before + counted)

  expect(await (await service.post(KEYS, keyFlush())).json()).toEqual({ updated: ENTRIES })
  const path = `/admin/keys/${hashOf(7)}`
  expect(await service.read(path)).toMatchObject({ request_count: 2 })

  await service.post(API_KEYS, apiKeyFlush())
  expect(await readTotal()).toBe(before + 2n * counted)
  expect(await readTotal(`?as_of_position=${at}`)).toBe(before + counted)
  const explained = await service.read<{ items: unknown[] }>(
    `/audit/explain?group_id=1&after=0/${Number(at.slice(2)) - 1}`,
  )
  expect(explained.items).toMatchObject([
    { counted: { requests: 3 * (ENTRIES / 120) * 33 } },
    { counted: { requests: 3 * (ENTRIES / 120) * 33 } },
  ])
})

test('a retried large flush gets the same answer and counts once', async () => {
  const send = (body: string) => service.post(API_KEYS, body, { 'idempotency-key': 'large-1' })
  const first = await send(apiKeyFlush())
  const total = await readTotal()
  const again = await Promise.all([
    send(apiKeyFlush()),
    send(
      apiKeyFlush()
        .trim()
        .padEnd(LARGE + 1),
    ),
  ])
  for (const response of again) {
    expect(response.headers.get('idempotency-replayed')).toBe('true')
    expect(response.headers.get('tallybook-position')).toBe(
      first.headers.get('tallybook-position')!,
    )
  }
  await expectProblem(await send(flushOf([{ api_key_id: 1 }])), 422, 'idempotency key reused')
  expect(await readTotal()).toBe(total)
})

test('a large malformed event is parked, and later events count', async () => {
  const { owner } = service.database
  const before = await readTotal()
  const payload = JSON.stringify({ hashes: 'x'.repeat(LARGE) })
  const position = await insertEvent(owner, { payload })
  await service.post(API_KEYS, { keys: [{ api_key_id: 2, requests: 5 }] })
  expect(await readTotal()).toBe(before + 5n)
  const parked = await owner`select from parked_events where position = ${position}`
  expect(parked).toHaveLength(1)
})

test('other requests are served while the worker has a large flush', async () => {
  workers.hold()
  const answered: string[] = []
  const note = (name: string) => (response: Response) => {
    answered.push(`${name} ${response.status}`)
  }
  const large = service.post(API_KEYS, apiKeyFlush()).then(note('large'))
  await until(() => workers.held === 1)
  await service.post(API_KEYS, { keys: [{ api_key_id: 1, requests: 1 }] }).then(note('small'))
  await service.fetch(null, '/health/live').then(note('live'))
  workers.release()
  await large
  expect(answered).toEqual(['small 200', 'live 200', 'large 200'])
})

test('the flush of a worker that dies gets 503, and a new worker takes the next one', async () => {
  workers.hold()
  const lost = service.post(API_KEYS, apiKeyFlush())
  await until(() => workers.held === 1)
  workers.kill()
  const response = await lost
  expect(response.headers.get('retry-after')).not.toBeNull()
  await expectProblem(response, 503, 'log unavailable')
  const total = await readTotal()
  expect((await service.post(API_KEYS, apiKeyFlush())).status).toBe(200)
  expect(await readTotal()).toBeGreaterThan(total)
})

test('a stop waits for the large flush that the worker is processing', async () => {
  const { database } = service
  const other = await startTestService({ database, shards: 1 })
  workers.hold()
  const posted = other.post(API_KEYS, apiKeyFlush(), { 'idempotency-key': 'during-a-stop' })
  await until(() => workers.held === 1)
  const stopped = other.stop()
  workers.release()
  expect((await posted).status).toBe(200)
  await stopped
  const found = await database.owner`select from events where idempotency_key = 'during-a-stop'`
  expect(found).toHaveLength(1)
})

test('a large event is returned with all of its entries, as they were posted', async () => {
  const { headers } = await service.fetch('dp', API_KEYS, { method: 'POST', body: apiKeyFlush() })
  const position = headers.get('tallybook-position')
  const { payload, entries } = await service.read<{ payload: object; entries: object[] }>(
    `/audit/events/${position}`,
  )
  expect(Object.keys(payload)).toContain('ids')
  const { keys } = JSON.parse(apiKeyFlush()) as { keys: { api_key_id: number }[] }
  const known = keys.filter(({ api_key_id: id }) => id <= 100)
  expect(entries.filter((entry) => 'group_id' in entry && entry.group_id !== null)).toHaveLength(
    known.length,
  )
  expect(entries).toHaveLength(keys.length)
  expect(entries.at(-1)).toMatchObject({ requests: 3 })
})
