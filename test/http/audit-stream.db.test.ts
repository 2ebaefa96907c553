import { afterAll, beforeAll, expect, test } from 'bun:test'
import net from 'node:net'
import { insertEvent } from '../support/events.ts'
import { type MeteredProxy, startMeter } from '../support/meter.ts'
import { createDatabase } from '../support/server.ts'
import { startTestService, type TestService, TOKENS } from '../support/service.ts'

// GET /audit/events as application/x-ndjson: the whole range, one line per event.

type Event = { shard: number; position: number; recorded_at: string; source: string }
type Page = { items: Event[]; next_after: string | null }

const NDJSON = { headers: { accept: 'application/x-ndjson' } }
const BIG_EVENTS = 32
const MIB = 1024 * 1024

let proxy: MeteredProxy
let service: TestService

beforeAll(async () => {
  const database = await createDatabase()
  proxy = await startMeter(database.address)
  service = await startTestService({
    ...{ database, address: proxy.address },
    intervals: { stop: { drainMs: 300, timeoutMs: 300 } },
  })
  for (let i = 0; i < 60; i++) {
    const key = { 'idempotency-key': `key-${i}` }
    if (i % 20 === 0) await service.putCatalog({ api_keys: [{ id: i + 1 }] })
    await (i % 3 === 0
      ? service.post('/internal/stats/flush', { keys: [{ token_hash: 'a', requests: i }] }, key)
      : service.post(
          '/internal/apikey-stats/flush',
          { keys: [{ api_key_id: 1, requests: i }] },
          key,
        ))
  }
})

afterAll(async () => {
  await service.end()
  await proxy.close()
})

async function readLines(query: string): Promise<string[]> {
  const response = await service.fetch('auditor', `/audit/events?${query}`, NDJSON)
  if (response.status !== 200) throw new Error(await response.text())
  expect(response.headers.get('content-type')).toBe('application/x-ndjson')
  expect(response.headers.get('vary')).toBe('Accept')
  const text = await response.text()
  if (text === '') return []
  expect(text).toEndWith('\n')
  return text.slice(0, -1).split('\n')
}

const readRange = async (query: string) =>
  (await readLines(query)).map((line) => JSON.parse(line) as Event)

/** Reads the pages of a query. Returns their first `limit` events. */
async function readPages(query: string, limit: number): Promise<Event[]> {
  const events: Event[] = []
  let after: string | null = null
  do {
    const more: string = after === null ? '' : `&after=${encodeURIComponent(after)}`
    const page: Page = await service.read(`/audit/events?${query}&limit=7${more}`)
    events.push(...page.items)
    after = page.next_after
  } while (after !== null)
  return events.slice(0, limit)
}

/** Deterministic, so that a failure can be reproduced. */
function random(seed: number) {
  let state = seed
  return (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * below)
  }
}

test('a range has the same events as its pages, with any filters', async () => {
  const all = await readPages('shard=all', Number.POSITIVE_INFINITY)
  expect(all.length).toBeGreaterThanOrEqual(63)
  const pick = random(7)
  let found = 0
  for (let i = 0; i < 60; i++) {
    const shard = pick(3) === 0 ? 'all' : String(pick(service.shards))
    const types = ['ApiKeyStatsFlushed', 'KeyStatsFlushed', 'CatalogChanged']
    const time = () => encodeURIComponent(all[pick(all.length)]!.recorded_at)
    const filters = [
      ...(pick(3) === 0 ? [`type=${types[pick(3)]}`] : []),
      ...(pick(3) === 0 ? [`source=${['dp', 'admin', 'nobody'][pick(3)]}`] : []),
      ...(pick(3) === 0 ? [`from=${time()}`] : []),
      ...(pick(3) === 0 ? [`to=${time()}`] : []),
    ]
    const query = [`shard=${shard}`, ...filters].join('&')
    const limit = pick(2) === 0 ? Number.POSITIVE_INFINITY : 1 + pick(30)
    const pages = await readPages(query, limit)
    const bounded = Number.isFinite(limit) ? `${query}&limit=${limit}` : query
    expect({ query: bounded, events: await readRange(bounded) }).toEqual({
      query: bounded,
      events: pages,
    })
    found += pages.length
  }
  expect(found).toBeGreaterThan(100)
})

test('after= bounds a range in the same way as a page', async () => {
  const own = await readRange('shard=0')
  expect(await readRange('shard=0&after=1')).toEqual(own.slice(2))
  expect(await readRange('shard=0&after=0/1')).toEqual(own.slice(2))
  expect(await readRange('shard=0&after=999999')).toEqual([])
  const all = await readRange('shard=all')
  expect(await readRange('shard=all&after=0/1')).toEqual(
    all.filter(({ shard, position }) => shard !== 0 || position > 1),
  )
})

test('a payload with line breaks is sent unchanged on one line', async () => {
  const payload =
    '{"hashes":[],\n"requests":[],\r\n"tokens":[],"last_accessed_at":[],"quota_tracked":[]}'
  const position = await insertEvent(service.database.owner, { payload })
  const lines = await readLines(`shard=0&after=${position - 1}`)
  expect(lines).toHaveLength(1)
  expect(JSON.parse(lines[0]!)).toMatchObject({ position, payload_text: payload })
})

test('an invalid query is answered with a problem, not a stream', async () => {
  const bad = [`shard=${service.shards}`, 'after=x', 'limit=0', 'from=2026-02-30T00:00:00Z', 'x=1']
  for (const query of bad) {
    const response = await service.fetch('auditor', `/audit/events?${query}`, NDJSON)
    expect([query, response.status]).toEqual([query, 400])
    expect(response.headers.get('content-type')).toBe('application/problem+json')
  }
  expect((await service.fetch('dp', '/audit/events', NDJSON)).status).toBe(403)
})

/** Sends a request whose answer is not read until `socket` is resumed. */
function requestUnread(query: string): {
  socket: net.Socket
  readonly received: number
  closed: Promise<void>
} {
  const { hostname, port } = new URL(service.url)
  const socket = net.connect(Number(port), hostname)
  let received = 0
  socket.on('data', (chunk: Buffer) => {
    received += chunk.byteLength
  })
  socket.on('error', () => {})
  socket.pause()
  socket.write(
    `GET /audit/events?${query} HTTP/1.1\r\nhost: x\r\naccept: application/x-ndjson\r\n` +
      `authorization: Bearer ${TOKENS.auditor}\r\nconnection: close\r\n\r\n`,
  )
  return {
    socket,
    get received() {
      return received
    },
    closed: new Promise((resolve) => socket.on('close', () => resolve())),
  }
}

/** Waits until more than half an event has come from the database. */
async function untilMoved(before: number): Promise<void> {
  while (proxy.bytes - before < MIB / 2) await Bun.sleep(20)
}

/** Waits until no more comes from the database. Returns the bytes that have come. */
async function untilQuiet(): Promise<number> {
  for (let before = -MIB; ; ) {
    await Bun.sleep(300)
    // Batches of the projector and other polls take some kB.
    if (proxy.bytes - before < MIB / 4) return proxy.bytes
    before = proxy.bytes
  }
}

test('a range that no client takes is read only a page and socket buffers ahead', async () => {
  const from = (await readRange('shard=0')).length
  const payload = JSON.stringify({ text: 'x'.repeat(MIB) })
  for (let i = 0; i < BIG_EVENTS; i++) await insertEvent(service.database.owner, { payload })
  // The projector reads them too, once: a read waits for it.
  await service.read('/admin/apikey-stats/summary')
  await service.read('/admin/usage')
  const before = proxy.bytes
  const slow = requestUnread(`shard=0&after=${from - 1}`)
  await untilMoved(before)
  const read = (await untilQuiet()) - before
  expect(read).toBeLessThan((BIG_EVENTS / 2) * MIB)
  slow.socket.resume()
  await slow.closed
  expect(slow.received).toBeGreaterThan(BIG_EVENTS * MIB)

  const start = proxy.bytes
  const gone = requestUnread(`shard=0&after=${from - 1}`)
  await untilMoved(start)
  await untilQuiet()
  gone.socket.destroy()
  expect((await untilQuiet()) - start).toBeLessThan((BIG_EVENTS / 2) * MIB)
  // It holds no connection, so that others can read.
  expect(await readRange('shard=0&limit=2')).toHaveLength(2)
})

test('a range that cannot be read to its end is aborted, not ended cleanly', async () => {
  const response = await service.fetch('auditor', '/audit/events?shard=0', NDJSON)
  const reader = response.body!.getReader()
  expect((await reader.read()).done).toBe(false)
  await proxy.lose()
  const readAll = async () => {
    while (!(await reader.read()).done);
  }
  await expect(readAll()).rejects.toThrow()
  const refused = await service.fetch('auditor', '/audit/events?shard=0', NDJSON)
  expect(refused.status).toBe(503)
  await proxy.restore()
})

test('HTTP/1.0 is answered without chunks, and HEAD without a stream', async () => {
  const { hostname, port } = new URL(service.url)
  const sendHead = (head: string) =>
    new Promise<string>((resolve) => {
      const socket = net.connect(Number(port), hostname)
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk.toString()
      })
      socket.on('close', () => resolve(text))
      socket.write(
        `${head}\r\nhost: x\r\naccept: application/x-ndjson\r\nconnection: close\r\n` +
          `authorization: Bearer ${TOKENS.auditor}\r\n\r\n`,
      )
    })
  const lines = await readLines('limit=3')
  const [head, body] = (await sendHead('GET /audit/events?limit=3 HTTP/1.0')).split('\r\n\r\n')
  expect(head).not.toMatch(/transfer-encoding/i)
  expect(body).toBe(`${lines.join('\n')}\n`)
  expect((await sendHead('HEAD /audit/events HTTP/1.1')).split('\r\n\r\n')[1]).toBe('')
})

test('the service stops although a client does not take its range', async () => {
  const slow = requestUnread('shard=0')
  await untilQuiet()
  await service.stop()
  slow.socket.resume()
  await slow.closed
  expect(slow.received).toBeLessThan(BIG_EVENTS * MIB)
})
