import { beforeAll, describe, expect, test } from 'bun:test'
import { countFlushes, positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// The contract of flushes beyond the recorded cases. Invariant 10: nothing that a client sends is
// answered with a 5xx.

const FLUSH = '/internal/apikey-stats/flush'
const KEY_FLUSH = '/internal/stats/flush'
const MAX = Number.MAX_SAFE_INTEGER

const service = useService()

beforeAll(async () => {
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [
      { id: 1, group_id: 1 },
      { id: 2, group_id: 1 },
    ],
    keys: [{ token_hash: 'a' }],
  })
})

/** Expects that a flush is refused with this `error` and has no position. */
async function expectUnposted(response: Response, error: string): Promise<void> {
  expect(response.headers.get('tallybook-position')).toBeNull()
  await expectProblem(response, 400, error)
}

/** Posts a body, and expects that it is refused and not stored. */
async function expectRefused(path: string, body: string, error: string) {
  const flushes = await countFlushes(service.database.owner)
  const response = await service.fetch('dp', path, { method: 'POST', body })
  await expectUnposted(response, error)
  expect(await countFlushes(service.database.owner)).toBe(flushes)
}

const deep = (open: string, close: string) => open.repeat(200_000) + close.repeat(200_000)

const NONE = { updated: 0, groups_updated: 0 }
const LAST_SECOND = '{"keys":[{"token_hash":"a","last_accessed_at":253402300799}]}'
const BODY = 'invalid request body'
const NUMBERS = 'invalid stats payload'

describe('refused with 400, and not stored', () => {
  const entry = (fields: string) => `{"keys":[{"api_key_id":1,${fields}}]}`
  const keyEntry = (fields: string) => `{"keys":[{"token_hash":"a",${fields}}]}`
  const cases: [what: string, path: string, body: string, error: string][] = [
    ['text after the value', FLUSH, '{"keys":[]} x', BODY],
    ['a second value', FLUSH, '{"keys":[]}{"keys":[]}', BODY],
    ['a comma after the value', KEY_FLUSH, 'null,', BODY],
    ['an object of unknown fields only', FLUSH, '{"key":[]}', BODY],
    ['an object of unknown fields only, for token keys', KEY_FLUSH, '{"Keys":[]}', BODY],
    ['an entry of unknown fields only', FLUSH, '{"keys":[{"id":1}]}', BODY],
    ['an entry of unknown fields only, for token keys', KEY_FLUSH, '{"keys":[{"hash":"a"}]}', BODY],
    ['a count of 2^53', FLUSH, entry('"requests":9007199254740992'), BODY],
    ['a count that a double would round down', FLUSH, entry('"requests":9007199254740993'), BODY],
    ['a count past every double', KEY_FLUSH, keyEntry('"tokens":1e400'), BODY],
    ['an id of 2^53', FLUSH, '{"keys":[{"api_key_id":9007199254740992}]}', BODY],
    ['a fraction', FLUSH, entry('"requests":1.5'), BODY],
    ['a number in quotes', FLUSH, entry('"requests":"1"'), BODY],
    ['a negative id', FLUSH, '{"keys":[{"api_key_id":-1,"requests":1}]}', BODY],
    ['a negative count', FLUSH, entry('"requests":-1'), NUMBERS],
    ['negative tokens', KEY_FLUSH, keyEntry('"tokens":-1'), NUMBERS],
    ['more successes than requests', FLUSH, entry('"requests":1,"success_requests":2'), NUMBERS],
    ['the year 10000', KEY_FLUSH, keyEntry('"last_accessed_at":253402300800'), NUMBERS],
    ['a NUL in a hash', KEY_FLUSH, '{"keys":[{"token_hash":"a\\u0000b"}]}', BODY],
    ['a hash that is a NUL', KEY_FLUSH, '{"keys":[{"token_hash":"\\u0000"}]}', BODY],
    ['a NUL in the JSON', FLUSH, '{"keys":\0[]}', BODY],
    ['200,000 brackets', FLUSH, deep('[', ']'), BODY],
    ['200,000 brackets in keys', FLUSH, `{"keys":${deep('[', ']')}}`, BODY],
    ['200,000 objects', KEY_FLUSH, deep('{"keys":', '}'), BODY],
    ['200,000 brackets that are never closed', KEY_FLUSH, '['.repeat(200_000), BODY],
    ['a number', FLUSH, '1', BODY],
    ['an array', FLUSH, '[]', BODY],
    ['a string', KEY_FLUSH, '"keys"', BODY],
  ]
  for (const [what, path, body, error] of cases) {
    test(what, () => expectRefused(path, body, error))
  }

  test('one invalid entry among valid ones refuses the whole flush', async () => {
    const before = await service.read('/admin/api-keys/1')
    await expectRefused(FLUSH, '{"keys":[{"api_key_id":1,"requests":5},{"x":1}]}', BODY)
    const keys = '{"api_key_id":1,"requests":5},{"api_key_id":2,"requests":-5}'
    await expectRefused(FLUSH, `{"keys":[${keys}]}`, NUMBERS)
    expect(await service.read('/admin/api-keys/1')).toEqual(before)
  })
})

describe('accepted', () => {
  const cases: [what: string, path: string, body: string, answer: object][] = [
    ['null', FLUSH, 'null', { updated: 0, groups_updated: 0 }],
    ['an empty object', FLUSH, '{}', { updated: 0, groups_updated: 0 }],
    ['an empty flush', KEY_FLUSH, '{"keys":[]}', { updated: 0 }],
    ['entries that are empty or null', FLUSH, '{"keys":[{},null]}', NONE],
    ['an unknown field next to a known one', FLUSH, '{"keys":[],"more":{"x":[1]}}', NONE],
    ['2^53 - 1', FLUSH, `{"keys":[{"api_key_id":${MAX},"requests":${MAX}}]}`, NONE],
    ['the last second of 9999', KEY_FLUSH, LAST_SECOND, { updated: 1 }],
    [
      'a lone surrogate in a hash',
      KEY_FLUSH,
      '{"keys":[{"token_hash":"\\ud800"}]}',
      { updated: 0 },
    ],
    ['white space around', FLUSH, ' \r\n\t{"keys":[]}\n ', NONE],
  ]
  for (const [what, path, body, answer] of cases) {
    test(`${what}, with a position`, async () => {
      const response = await service.post(path, body)
      expect(response.status).toBe(200)
      expect(positionOf(response)).toMatch(/^\d+\/\d+$/)
      expect(await response.json()).toEqual(answer as never)
    })
  }

  test('entries of one id add up, and count as one key', async () => {
    type Counters = { total_requests: number; success_requests: number }
    const before = await service.read<Counters>('/admin/api-keys/2')
    const entry = { api_key_id: 2, requests: 2, success_requests: 1 }
    const response = await service.post(FLUSH, { keys: [entry, entry, entry] })
    expect(await response.json()).toEqual({ updated: 1, groups_updated: 1 })
    expect(await service.read<Counters>('/admin/api-keys/2')).toMatchObject({
      total_requests: before.total_requests + 6,
      success_requests: before.success_requests + 3,
    })
  })

  test('100,000 entries of each kind, below the default limit', async () => {
    const ids = Array.from({ length: 100_000 }, (_, i) => 1_000_000 + i)
    const apiKeys = ids.map((id) => ({ api_key_id: id, requests: id, success_requests: id }))
    const hashes = ids.map((id) => ({
      token_hash: String(id).padStart(64, '0'),
      requests: id,
      tokens: id,
      last_accessed_at: 1_700_000_000,
    }))
    expect((await service.post(FLUSH, { keys: apiKeys })).status).toBe(200)
    expect((await service.post(KEY_FLUSH, { keys: hashes })).status).toBe(200)
  })

  test('bytes that are not UTF-8, or begin with a BOM, get no 5xx', async () => {
    const json = new TextEncoder().encode('{"keys":[{"token_hash":"xx"}]}')
    const broken = json.map((byte) => (byte === 'x'.charCodeAt(0) ? 0xff : byte))
    const marked = new Uint8Array([0xef, 0xbb, 0xbf, ...json])
    for (const body of [broken, marked, new Uint8Array([0xff, 0xfe])]) {
      const init = { method: 'POST', body }
      expect((await service.fetch('dp', KEY_FLUSH, init)).status).toBeLessThan(500)
    }
  })
})

describe('Idempotency-Key', () => {
  const bad = ['', 'x'.repeat(256), 'two words', 'a\tb', 'caf\u00e9', 'a, b']
  for (const key of bad) {
    test(`${JSON.stringify(key.slice(0, 12))} of ${key.length} characters is refused`, async () => {
      const response = await service.post(FLUSH, { keys: [] }, { 'idempotency-key': key })
      await expectUnposted(response, 'invalid idempotency key')
    })
  }

  test('1 to 255 visible characters are accepted', async () => {
    for (const key of ['!', '~', '"quoted"', 'x'.repeat(255)]) {
      const response = await service.post(FLUSH, { keys: [] }, { 'idempotency-key': key })
      expect(response.status).toBe(200)
    }
  })
})
