import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import net from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { countFlushes } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { TOKENS, useService } from '../support/service.ts'
import { until } from '../support/until.ts'

/** More than is decompressed at once, and less than a bomb of this size decompresses to. */
const LIMIT = 1024 * 1024
const service = useService({ bodyLimitBytes: LIMIT })
const API_KEYS = '/internal/apikey-stats/flush'

beforeAll(async () => {
  const catalog = {
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 1, group_id: 1 }],
    keys: [{ token_hash: 'ké' }],
  }
  expect((await service.putCatalog(catalog)).status).toBe(200)
})

type Bytes = Uint8Array<ArrayBuffer>
const gzip = (text: string): Bytes => new Uint8Array(gzipSync(text))
const join = (...parts: Bytes[]): Bytes => new Uint8Array(Buffer.concat(parts))

/** The same body sent with its length, and in chunks. */
const FORMS: [name: string, bodyOf: (bytes: Bytes) => RequestInit['body']][] = [
  ['with Content-Length', (bytes) => bytes],
  ['in chunks', (bytes) => new Blob([bytes]).stream()],
]

const send = (
  body: RequestInit['body'],
  coding: string,
  path = API_KEYS,
  headers: Record<string, string> = {},
) =>
  service.fetch('dp', path, {
    method: 'POST',
    body,
    headers: { 'content-encoding': coding, ...headers },
  })

const FLUSH = '{"keys":[{"api_key_id":1,"requests":3,"success_requests":2}]}'
const COUNTED = { updated: 1, groups_updated: 1 }

/** Returns a flush of `bytes` bytes. */
const padded = (bytes: number) => `${FLUSH.slice(0, -1).padEnd(bytes - 1)}}`

/** Returns `text` in gzip, padded with uncompressed noise to about `bytes` bytes. */
function large(text: string, bytes: number): Bytes {
  const noise = Buffer.from(crypto.getRandomValues(new Uint8Array(bytes % 65_536 || 65_536)))
  const note = noise.toString('base64').repeat(Math.ceil(bytes / noise.length))
  return new Uint8Array(gzipSync(text.replace('{', `{"note":"${note}",`), { level: 0 }))
}

describe.each(FORMS)('gzip %s', (_, bodyOf) => {
  test.each(['gzip', 'GZIP', 'x-gzip', ' gzip , identity', 'identity,gzip', ',gzip,'])(
    'a flush with the coding %p counts like an uncompressed one',
    async (coding) => {
      const response = await send(bodyOf(gzip(FLUSH)), coding)
      expect(response.status).toBe(200)
      expect(await response.json()).toEqual(COUNTED)
    },
  )

  test('several members are one body, even with a character split between two', async () => {
    const [a, b] = [Buffer.from('{"keys":[{"token_hash":"k\u00e9').subarray(0, -1), '"']
    const rest = Buffer.concat([Buffer.from('\u00e9').subarray(1), Buffer.from(b)])
    const members = [a, rest, Buffer.from(',"requests":1}]}')].map((part) => gzipSync(part))
    const response = await send(
      bodyOf(new Uint8Array(Buffer.concat(members))),
      'gzip',
      '/internal/stats/flush',
    )
    expect(await response.json()).toEqual({ updated: 1 })
  })

  test('a body of more than 64 KiB is read completely, however compressed', async () => {
    for (const body of [large(FLUSH, 100_000), gzip(padded(200_000)), gzip(padded(LIMIT))]) {
      expect(await (await send(bodyOf(body), 'gzip')).json()).toEqual(COUNTED)
    }
  })

  test('a body that decompresses to more than the limit gets 413', async () => {
    const before = await countFlushes(service.database.owner)
    const bomb = gzip(' '.repeat(64 * LIMIT))
    for (const body of [gzip(padded(LIMIT + 1)), bomb, join(gzip(padded(LIMIT)), bomb)]) {
      await expectProblem(await send(bodyOf(body), 'gzip'), 413, 'request body too large')
    }
    expect(await countFlushes(service.database.owner)).toBe(before)
  })

  test('a compressed body above the limit gets 413 even if its content is empty', async () => {
    const empty = gzip('')
    const members = Buffer.alloc(empty.length * Math.ceil((LIMIT + 1) / empty.length))
    for (let i = 0; i < members.length; i += empty.length) members.set(empty, i)
    const response = await send(bodyOf(new Uint8Array(members)), 'gzip')
    await expectProblem(response, 413, 'request body too large')
  })

  const whole = gzip(FLUSH)
  const much = large(FLUSH, 100_000)
  test.each<[string, Bytes]>([
    ['an empty body', new Uint8Array()],
    ['plain text', new TextEncoder().encode(FLUSH)],
    ['zlib', new Uint8Array(deflateSync(FLUSH))],
    ['truncated gzip', whole.subarray(0, -1)],
    ['large truncated gzip', much.subarray(0, -100)],
    ['gzip with a wrong checksum', whole.with(whole.length - 8, whole.at(-8)! ^ 1)],
    ['large gzip with a wrong checksum', much.with(much.length - 8, much.at(-8)! ^ 1)],
    ['gzip followed by text', join(whole, new TextEncoder().encode('text'))],
    ['gzip followed by half a member', join(whole, whole.subarray(0, 12))],
  ])('%s gets 400', async (_, body) => {
    await expectProblem(await send(bodyOf(body), 'gzip'), 400, 'invalid request body')
  })
})

test.each(['', 'identity', 'Identity', 'identity, identity', ' , '])(
  'the coding %p means an uncompressed body',
  async (coding) => {
    expect(await (await send(FLUSH, coding)).json()).toEqual(COUNTED)
  },
)

const OTHERS: [coding: string, body: Bytes][] = [
  ['br', new Uint8Array(brotliCompressSync(FLUSH))],
  ['deflate', new Uint8Array(deflateSync(FLUSH))],
  ['gzip, gzip', new Uint8Array(gzipSync(gzipSync(FLUSH)))],
  ['zstd', new Uint8Array(Bun.zstdCompressSync(FLUSH))],
  ['gzip;q=1', gzip(FLUSH)],
  ['unheard-of', gzip(FLUSH)],
]

test.each(OTHERS)(
  'the coding %p gets 415 and the list of supported codings',
  async (coding, body) => {
    const response = await send(body, coding)
    expect(response.headers.get('accept-encoding')).toBe('gzip, identity')
    await expectProblem(response, 415, 'unsupported content encoding')
  },
)

test.each<[keyof typeof TOKENS | null, string, string, string, number]>([
  ['admin', 'PUT', '/admin/catalog', '{"api_keys":[{"id":9}]}', 200],
  ['admin', 'POST', '/admin/tokens', '{"name":"by-gzip","role":"dp"}', 201],
  ['dp', 'POST', '/internal/receipts', '{"position":"0/0"}', 404],
  [null, 'POST', '/session', JSON.stringify({ token: TOKENS.auditor }), 201],
])('as %p %s %s accepts gzip and no other coding', async (role, method, path, text, status) => {
  const call = (body: Bytes, coding: string) =>
    service.fetch(role, path, { method, body, headers: { 'content-encoding': coding } })
  expect((await call(gzip(text), 'gzip')).status).toBe(status)
  await expectProblem(await call(gzip(text).subarray(0, 9), 'gzip'), 400, 'invalid request body')
  await expectProblem(await call(gzip(text), 'br'), 415, 'unsupported content encoding')
})

test('a wrong token is refused before the coding is checked', async () => {
  const init = { method: 'POST', body: FLUSH, headers: { 'content-encoding': 'br' } }
  await expectProblem(await service.fetch(null, API_KEYS, init), 401, 'unauthorized')
  await expectProblem(await service.fetch('admin', API_KEYS, init), 403, 'forbidden')
})

test('a sign-in of more than 4 KiB in gzip gets 413 too', async () => {
  const body = gzip(JSON.stringify({ token: 'x'.repeat(5_000) }))
  const headers = { 'content-encoding': 'gzip' }
  const response = await service.fetch(null, '/session', { method: 'POST', body, headers })
  await expectProblem(response, 413, 'request body too large')
})

test('an idempotency key is compared with the entries, compressed or not', async () => {
  const key = { 'idempotency-key': 'compressed' }
  const first = await send(gzip(FLUSH), 'gzip', API_KEYS, key)
  const position = first.headers.get('tallybook-position')
  for (const again of [
    await service.post(API_KEYS, FLUSH, key),
    await send(large(FLUSH, 100_000), 'gzip', API_KEYS, key),
  ]) {
    expect(again.headers.get('tallybook-position')).toBe(position)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
  }
  const other = await send(gzip(FLUSH.replace('3', '4')), 'gzip', API_KEYS, key)
  await expectProblem(other, 422, 'idempotency key reused')
})

describe('a client that disconnects in the middle of a large gzip body', () => {
  const sockets: net.Socket[] = []
  afterAll(() => {
    for (const socket of sockets) socket.destroy()
  })

  test('releases its bytes, so that as many bodies as before are read', async () => {
    const { hostname, port } = new URL(service.url)
    const body = large(FLUSH, 700_000)
    for (let i = 0; i < 40; i++) {
      const socket = net.connect(Number(port), hostname)
      sockets.push(socket)
      socket.write(
        `POST ${API_KEYS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKENS.dp}\r\n` +
          `Content-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`,
      )
      await new Promise<void>((resolve) =>
        socket.write(body.subarray(0, body.length - 10_000), () => resolve()),
      )
      socket.destroy()
    }
    await until(async () => {
      const answers = await Promise.all(Array.from({ length: 4 }, () => send(body, 'gzip')))
      return answers.every(({ status }) => status === 200)
    })
  })
})
