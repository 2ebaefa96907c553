import { afterAll, beforeAll, expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import { formatPositions } from '../../src/events/positions.ts'
import { insertEvent } from '../support/events.ts'
import { type MeteredProxy, startMeter } from '../support/meter.ts'
import { createDatabase } from '../support/server.ts'
import { startTestService, type TestService, TOKENS } from '../support/service.ts'
import { makeToken, revokeToken, signIn } from '../support/sessions.ts'

// GET /admin/live: the heads of the log as a stream, for the pages of the console.

const LIVE = '/admin/live'
const SUBSCRIBERS = 20

let proxy: MeteredProxy
let service: TestService
let other: TestService

beforeAll(async () => {
  const database = await createDatabase()
  proxy = await startMeter(database.address)
  service = await startTestService({
    database,
    address: proxy.address,
    maxSubscribers: SUBSCRIBERS,
  })
  other = await startTestService({ database })
})

afterAll(async () => {
  await other.stop()
  await service.end()
  await proxy.close()
})

type Stream = NonNullable<Awaited<ReturnType<typeof tryToOpen>>>

async function open(headers: Record<string, string>, through = service): Promise<Stream> {
  const stream = await tryToOpen(headers, through)
  if (!stream) throw new Error('the stream was refused')
  return stream
}

/** Opens a stream, which is read block by block. Returns null if it is refused. */
async function tryToOpen(headers: Record<string, string>, through = service) {
  const abort = new AbortController()
  const response = await fetch(`${through.url}${LIVE}`, { headers, signal: abort.signal })
  if (response.status === 503 || response.status === 401) {
    await response.body?.cancel()
    return null
  }
  expect(response.status).toBe(200)
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  /** Returns the next block other than keep-alives as it was sent, or null at the end. */
  const next = async (): Promise<string | null> => {
    while (!text.includes('\n\n')) {
      const { done, value } = await reader.read()
      if (done) return null
      text += value
    }
    const end = text.indexOf('\n\n')
    const block = text.slice(0, end)
    text = text.slice(end + 2)
    return block === ':' ? next() : block
  }
  /** Waits for these positions. Returns all that arrived on the way. */
  const until = async (positions: string): Promise<string[]> => {
    const received: string[] = []
    while (received.at(-1) !== positions) {
      const block = await next()
      if (block === null) throw new Error(`the stream ended after ${received}`)
      if (block.startsWith('data: ')) received.push(block.slice('data: '.length))
    }
    return received
  }
  /** Waits for the end, before which only keep-alives may arrive. */
  const untilEnd = async () => expect(await next()).toBeNull()
  return { response, next, until, untilEnd, cut: () => abort.abort() }
}

const as = (token: string) => ({ authorization: `Bearer ${token}` })
const auditor = as(TOKENS.auditor)

/** Returns the heads of the log. */
async function readHeads(): Promise<string> {
  const rows = await service.database.owner<{ head: number }[]>`
    select coalesce(max(e.position), -1)::integer as head
    from shards s
      left join events e on e.shard = s.shard
    group by s.shard
    order by s.shard`
  return formatPositions(rows.map(({ head }) => head))
}

let keys = 0
async function post(through = service, count = 1): Promise<void> {
  for (let i = 0; i < count; i++) {
    const key = { 'idempotency-key': `key-${keys++}` }
    const body = { keys: [{ token_hash: 'a', requests: 1 }] }
    expect((await through.post('/internal/stats/flush', body, key)).status).toBe(200)
  }
}

test('a stream sends the heads of the log at once, even of an empty log', async () => {
  const stream = await open(auditor)
  expect(stream.response.headers.get('content-type')).toBe('text/event-stream')
  expect(stream.response.headers.get('cache-control')).toBe('no-store')
  expect(stream.response.headers.get('x-accel-buffering')).toBe('no')
  expect(await stream.next()).toBe('retry: 1000')
  const none = Array.from({ length: service.shards }, (_, shard) => `${shard}/-1`).join(',')
  expect(await stream.next()).toBe(`data: ${none}`)
  stream.cut()
})

test('a stream reports appends through any instance, and never goes back', async () => {
  const streams = await Promise.all([open(auditor), open(auditor), open(auditor, other)])
  await post(service, 5)
  await post(other, 5)
  await insertEvent(service.database.owner, {})
  const heads = await readHeads()
  for (const { until, cut } of streams) {
    const received = await until(heads)
    const sums = received.map((positions) =>
      positions.split(',').reduce((sum, part) => sum + Number(part.split('/')[1]), 0),
    )
    expect(sums).toEqual([...new Set(sums)].toSorted((a, b) => a - b))
    cut()
  }
})

test('a later stream gets the newest positions at once', async () => {
  const first = await open(auditor)
  const heads = await readHeads()
  await first.until(heads)
  const late = await open(auditor)
  expect(await late.next()).toBe('retry: 1000')
  expect(await late.next()).toBe(`data: ${heads}`)
  first.cut()
  late.cut()
})

test('a session can open a stream, which ends when the session expires', async () => {
  const { owner } = service.database
  const cookie = await signIn(service, TOKENS.auditor)
  const stream = await open({ cookie })
  await stream.until(await readHeads())
  stream.cut()
  const id = hash('sha256', cookie.split('=')[1]!, 'hex')
  const expireIn = async (seconds: number) => {
    const [row] = await owner<{ expires_at: Date }[]>`
      update sessions set expires_at = now() + ${seconds} * interval '1 second'
      where id_sha256 = decode(${id}, 'hex')
      returning expires_at`
    return row!.expires_at.getTime()
  }
  let seconds = 0.5
  let expiresAt = await expireIn(seconds)
  let last = await tryToOpen({ cookie })
  // A machine may take longer than that to open one.
  while (last === null) {
    seconds *= 2
    expiresAt = await expireIn(seconds)
    last = await tryToOpen({ cookie })
  }
  let block = await last.next()
  while (block !== null) block = await last.next()
  expect(Date.now()).toBeGreaterThan(expiresAt)
})

test('revoking a token ends its streams and those of its sessions, and no others', async () => {
  const token = await makeToken(service, 'passing', 'auditor')
  const cookie = await signIn(service, token)
  const revoked = [await open(as(token)), await open({ cookie })]
  const remaining = [
    await open(auditor),
    await open({ cookie: await signIn(service, TOKENS.admin) }),
  ]
  const heads = await readHeads()
  for (const { until } of [...revoked, ...remaining]) await until(heads)
  await revokeToken(service, 'passing')
  // The position of the event that records it may arrive before the end.
  for (const { next } of revoked) while ((await next()) !== null);
  await post()
  const moved = await readHeads()
  for (const { until, cut } of remaining) {
    await until(moved)
    cut()
  }
  const headers = { cookie }
  expect((await service.fetch(null, LIVE, { headers })).status).toBe(401)
})

test('signing out ends the streams of the session on every instance, and no others', async () => {
  const cookie = await signIn(service, TOKENS.auditor)
  const remaining = await open({ cookie: await signIn(service, TOKENS.auditor) })
  const out = [await open({ cookie }), await open({ cookie }, other)]
  const heads = await readHeads()
  for (const { until } of [remaining, ...out]) await until(heads)
  const headers = { accept: 'text/event-stream', cookie }
  const subscription = await service.fetch(null, '/audit/events', { headers })
  expect(subscription.status).toBe(200)
  const signedOut = await service.fetch(null, '/session', { method: 'DELETE', headers: { cookie } })
  expect(signedOut.status).toBe(204)
  for (const { untilEnd } of out) await untilEnd()
  expect(await subscription.text()).toBeString()
  await post()
  await remaining.until(await readHeads())
  remaining.cut()
})

/** Opens a stream and closes it. Returns its status. */
async function readStatus(): Promise<number> {
  const { status, body } = await service.fetch('auditor', LIVE)
  await body?.cancel()
  return status
}

test('a stream above the maximum gets 503 until another ends', async () => {
  // The service may not have noticed yet that the streams of earlier tests have ended.
  const streams: Stream[] = []
  while (streams.length < SUBSCRIBERS) {
    const stream = await tryToOpen(auditor)
    if (stream) streams.push(stream)
    else await Bun.sleep(20)
  }
  const refused = await service.fetch('auditor', LIVE)
  expect(refused.status).toBe(503)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await refused.json()).toMatchObject({ error: 'too many streams' })
  // Subscriptions to the log have a maximum of their own.
  const query = '/audit/events?limit=1&after=-1'
  const headers = { accept: 'text/event-stream' }
  expect((await service.fetch('auditor', query, { headers })).status).toBe(200)
  streams[0]!.cut()
  let status = await readStatus()
  while (status === 503) status = await readStatus()
  expect(status).toBe(200)
  for (const { cut } of streams) cut()
})

test('a query parameter or a wrong role is refused', async () => {
  const status = async (role: 'dp' | 'auditor' | null, query = '') =>
    (await service.fetch(role, `${LIVE}${query}`)).status
  expect(await status('auditor', '?after=1')).toBe(400)
  expect(await status('dp')).toBe(403)
  expect(await status(null)).toBe(401)
})

test('an unavailable database ends no stream; missed positions arrive later', async () => {
  const stream = await open(auditor)
  await stream.until(await readHeads())
  await proxy.lose()
  await post(other, 3)
  await proxy.restore()
  await stream.until(await readHeads())
  stream.cut()
})

test('stopping the service ends its streams', async () => {
  const stopping = await startTestService({ database: service.database })
  const stream = await open(auditor, stopping)
  await stream.until(await readHeads())
  const stopped = stopping.stop()
  await stream.untilEnd()
  await stopped
})
