import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import pino from 'pino'
import { expectProblem } from '../support/problem.ts'
import { countRegistered, readRegistrations } from '../support/registered.ts'
import { startTestService, type TestService, useService } from '../support/service.ts'
import { watchWorkers } from '../support/workers.ts'

// TALLYBOOK_UNKNOWN_KEYS=register: flushes add the unknown keys that they name to the catalog.

const API_KEYS = '/internal/apikey-stats/flush'
const KEYS = '/internal/stats/flush'
/** More bytes than a body that the main thread parses. */
const LARGE = 300 * 1024

const workers = watchWorkers()
const service = useService({ registerPerDay: 10_000 })
afterAll(() => workers.restore())

beforeAll(async () => {
  await service.putCatalog({ provider_groups: [{ id: 3, external_id: 'openai' }, { id: 4 }] })
})

type Row = { id: number; external_id: string | null; group_id: number; name: string | null }

const read = (path: string) => service.read<Row & { total_requests: number }>(path)
const post = async (through: TestService, path: string, keys: object[], size = 0) => {
  const response = await through.post(path, JSON.stringify({ keys }).padEnd(size))
  expect(response.status).toBe(200)
  return (await response.json()) as { updated: number }
}

describe.each([
  ['a flush', 0],
  ['a large flush', LARGE],
] as const)('%s', (name, size) => {
  const named = (text: string) => `${text} of ${name}`

  test('registers API keys with their groups and names, and counts', async () => {
    const entries = [
      { api_key: ` ${named('a')} `, group: ' openai ', name: 'checkout', requests: 2 },
      { api_key: named('b'), group_id: 4, requests: 1 },
      { api_key: named('c'), group: 'none', group_id: 4, requests: 1 },
      { api_key: named('d'), group_id: 9, name: 'x'.repeat(256), requests: 1 },
      null,
      { api_key: named('e'), group: 7, group_id: 'x', name: {}, requests: 1 },
      { api_key: named('f'), group: ' ', group_id: 4, name: '', requests: 1 },
    ]
    expect(await post(service, API_KEYS, entries as object[], size)).toMatchObject({ updated: 6 })
    const rows = []
    for (const letter of 'abcdef') {
      rows.push(await read(`/admin/api-keys/ext:${encodeURIComponent(named(letter))}`))
    }
    expect(rows.map(({ group_id, name }) => [group_id, name])).toEqual([
      ...[[3, 'checkout'] as const, [4, null] as const, [0, null] as const],
      ...[[0, null] as const, [0, null] as const, [4, null] as const],
    ] as never)
    expect(rows[0]!.total_requests).toBe(2)
  })

  test('registers keys and counts at the time that it states', async () => {
    const hourS = (Math.floor(Date.now() / 3_600_000) - 30) * 3_600
    const flush = { counted_at: hourS, keys: [{ api_key: named('late'), requests: 2 }] }
    const response = await service.post(API_KEYS, JSON.stringify(flush).padEnd(size))
    expect(await response.json()).toMatchObject({ updated: 1 })
    const { id } = await read(`/admin/api-keys/ext:${encodeURIComponent(named('late'))}`)
    const [from, to] = [hourS, hourS + 900].map((at) => new Date(at * 1_000).toISOString())
    const path = `/admin/usage?api_key_id=${id}&from=${from}&to=${to}`
    expect(await service.read(path)).toMatchObject({ total: { total_requests: 2 } })
    const old = { ...flush, counted_at: hourS - 36 * 86_400, keys: [{ api_key: named('never') }] }
    expect((await service.post(API_KEYS, JSON.stringify(old).padEnd(size))).status).toBe(400)
    const never = `/admin/api-keys/ext:${encodeURIComponent(named('never'))}`
    expect((await service.fetch('admin', never)).status).toBe(404)
  })

  test('registers token keys with their names, and counts', async () => {
    const entries = [
      { token_hash: named('a'), requests: 2, name: 'Ada', group: 'openai' },
      { token_hash: named('b'), tokens: 1, name: 5 },
      { token_hash: 'x'.repeat(256), requests: 1 },
    ]
    expect(await post(service, KEYS, entries, size)).toEqual({ updated: 2 })
    const rows = ['a', 'b'].map((letter) =>
      service.read(`/admin/keys/${encodeURIComponent(named(letter))}`),
    )
    expect(await Promise.all(rows)).toMatchObject([
      { name: 'Ada', request_count: 2, quota_limit: -1 },
      { name: null, used_tokens: 1 },
    ])
  })

  test('names the token in the log as the one for which the keys were registered', async () => {
    await post(service, API_KEYS, [{ api_key: named('logged') }], size)
    const newest = (await readRegistrations(service.database.owner)).at(-1)!
    expect(newest.source).toBe('register:dp')
    const path = `/audit/events?shard=0&type=CatalogChanged&source=${newest.source}`
    const { items } = await service.read<{ items: { source: string }[] }>(path)
    expect(items.length).toBeGreaterThan(0)
    expect(items.every(({ source }) => source === 'register:dp')).toBe(true)
  })

  test('is answered again as before, and registers nothing, if it is sent again', async () => {
    const body = JSON.stringify({ keys: [{ api_key: named('retry'), requests: 1 }] }).padEnd(size)
    const headers = { 'idempotency-key': named('retry').replaceAll(' ', '-') }
    const first = await service.post(API_KEYS, body, headers)
    const registered = await countRegistered(service.database.owner)
    const again = await service.post(API_KEYS, body, headers)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(await again.json()).toEqual(await first.json())
    const path = `/admin/api-keys/ext:${encodeURIComponent(named('retry'))}`
    expect((await read(path)).total_requests).toBe(1)
    expect(await countRegistered(service.database.owner)).toBe(registered)
  })

  test('is refused if it names two keys, and leaves retired ones as they are', async () => {
    await service.putCatalog({ api_keys: [{ external_id: named('one') }, { id: 10_000 + size }] })
    const two = [{ api_key_id: 10_000 + size, api_key: named('one'), requests: 1 }]
    await expectProblem(
      await service.post(API_KEYS, JSON.stringify({ keys: two }).padEnd(size)),
      400,
      'invalid stats payload',
    )
    const path = `/admin/api-keys/${10_000 + size}`
    expect((await service.fetch('admin', path, { method: 'DELETE' })).status).toBe(204)
    const entry = { api_key_id: 10_000 + size, requests: 1 }
    expect(await post(service, API_KEYS, [entry], size)).toMatchObject({ updated: 0 })
    await expectProblem(await service.fetch('admin', path), 404, 'not found')
  })
})

test('a key that one thread registers is known to the other', async () => {
  const registered = await countRegistered(service.database.owner)
  for (const size of [LARGE, 0, LARGE, 0]) {
    expect(await post(service, API_KEYS, [{ api_key: 'both', requests: 1 }], size)).toMatchObject({
      updated: 1,
    })
  }
  expect(await countRegistered(service.database.owner)).toBe(registered + 1)
  expect((await read('/admin/api-keys/ext:both')).total_requests).toBe(4)
})

describe('at the limit of the day', () => {
  type Status = { registration: { registered_today: number; per_day: number } | null }
  const lines: { msg: string; keys: number; perDay: number }[] = []
  const logger = pino({ level: 'warn' }, { write: (line) => lines.push(JSON.parse(line)) })
  const limited = useService({ registerPerDay: 3, logger })

  const scrape = async (through: TestService, name: string) => {
    const text = await (await fetch(`${through.url}/metrics`)).text()
    const line = text.split('\n').find((sample) => sample.startsWith(`${name} `))
    return line === undefined ? null : Number(line.split(' ')[1])
  }

  test('unknown keys count nothing, on either thread, and known ones count', async () => {
    const entries = ['a', 'b'].map((api_key) => ({ api_key, requests: 1 }))
    expect(await post(limited, API_KEYS, entries, LARGE)).toMatchObject({ updated: 2 })
    const tokens = ['c', 'd'].map((token_hash) => ({ token_hash, requests: 1 }))
    expect(await post(limited, KEYS, tokens)).toEqual({ updated: 1 })
    for (const size of [0, LARGE]) {
      const mixed = ['a', `e${size}`].map((api_key) => ({ api_key, requests: 1 }))
      expect(await post(limited, API_KEYS, mixed, size)).toMatchObject({ updated: 1 })
    }
    expect(await countRegistered(limited.database.owner)).toBe(3)
  })

  test('it is logged once, and counted in the metrics', async () => {
    const warnings = lines.filter(({ msg }) => msg.includes('TALLYBOOK_REGISTER_PER_DAY'))
    expect(warnings).toMatchObject([{ keys: 1, perDay: 3 }])
    expect(await scrape(limited, 'tallybook_registration_limited_total')).toBe(3)
    expect(await scrape(limited, 'tallybook_registered_keys_today')).toBe(3)
    // Without registration the gauge has no sample.
    const off = await startTestService()
    expect(await scrape(off, 'tallybook_registered_keys_today')).toBeNull()
    expect(await off.read<Status>('/admin/status')).toMatchObject({ registration: null })
    await off.end()
  })

  test('the status of every instance shows it, also after a restart', async () => {
    const registration = { registered_today: 3, per_day: 3 }
    expect(await limited.read<Status>('/admin/status')).toMatchObject({ registration })
    const other = await startTestService({ database: limited.database, registerPerDay: 3 })
    expect(await other.read<Status>('/admin/status')).toMatchObject({ registration })
    expect(await post(other, API_KEYS, [{ api_key: 'f', requests: 1 }])).toMatchObject({
      updated: 0,
    })
    await other.stop()
  })
})

test('by default unknown keys count nothing, however they are described', async () => {
  const off = await startTestService()
  await off.putCatalog({ provider_groups: [{ id: 3, external_id: 'openai' }] })
  const entry = { api_key: 'a', group: 'openai', name: 'x', requests: 1 }
  expect(await post(off, API_KEYS, [entry])).toMatchObject({ updated: 0 })
  expect(await post(off, API_KEYS, [entry], LARGE)).toMatchObject({ updated: 0 })
  expect(await countRegistered(off.database.owner)).toBe(0)
  await off.end()
})
