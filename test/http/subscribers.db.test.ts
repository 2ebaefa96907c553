import { afterAll, beforeAll, expect, test } from 'bun:test'
import { SubscribedStream } from '../support/follow.ts'
import { isFull } from '../support/full.ts'
import { type MeteredProxy, startMeter } from '../support/meter.ts'
import { RawStream } from '../support/raw-stream.ts'
import { createDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'

// Many subscribers of the log, and what ends a stream.

const FLUSH = '/internal/stats/flush'
/** More than fetch can open, and more than one turn of the event loop updates. */
const SUBSCRIBERS = isFull ? 1_000 : 400

let proxy: MeteredProxy
let service: TestService
beforeAll(async () => {
  const database = await createDatabase()
  proxy = await startMeter(database.address)
  service = await startTestService({
    database,
    address: proxy.address,
    maxSubscribers: SUBSCRIBERS + 2,
  })
})
afterAll(async () => {
  await service.end()
  await proxy.close()
})

let posted = 0

/** Posts a flush whose event has about `bytes` bytes. */
async function post(bytes = 100): Promise<void> {
  const keys = [{ token_hash: 'x'.repeat(200), requests: 1 }]
  while (keys.length * 220 < bytes) keys.push({ ...keys[0]!, requests: keys.length })
  const headers = { 'idempotency-key': `flush-${posted++}` }
  // A loaded machine may refuse flushes for a while.
  await until(async () => (await service.post(FLUSH, { keys }, headers)).status === 200)
}

/** Opens a stream, once the service has noticed which earlier ones were disconnected. */
async function openRaw(query: string): Promise<RawStream> {
  for (;;) {
    const stream = new RawStream(service, query)
    try {
      await stream.blocks(1)
      return stream
    } catch (error) {
      if (!stream.text.includes(' 503 ')) throw error
      await Bun.sleep(50)
    }
  }
}

/** Reads the first block of a stream, which has its position. */
const begin = async (stream: SubscribedStream) => {
  expect(await stream.next()).toHaveProperty('retry')
}

test('hundreds of subscribers all get every event, and the log is read once for all', async () => {
  const streams = Array.from({ length: SUBSCRIBERS }, () => new RawStream(service, 'shard=all'))
  await Promise.all(streams.map((stream) => stream.blocks(1)))
  const before = proxy.bytes
  for (let i = 0; i < 10; i++) await post(20_000)
  await Promise.all(streams.map((stream) => stream.blocks(11)))
  const [first, ...others] = streams.map(({ names }) => names.sort())
  expect(new Set(first).size).toBe(10)
  for (const names of others) expect(names).toEqual(first!)
  // It would be 200 kB per subscriber if each read the log by itself.
  expect(proxy.bytes - before).toBeLessThan(SUBSCRIBERS * 50_000)

  const more = [new RawStream(service, 'shard=0'), new RawStream(service, 'shard=0')]
  await Promise.all(more.map((stream) => stream.blocks(1)))
  const headers = { accept: 'text/event-stream' }
  const refused = await service.fetch('auditor', '/audit/events', { headers })
  expect(refused.status).toBe(503)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  for (const { socket } of [...streams, ...more]) socket.destroy()
})

test('a subscriber that pauses delays no other, and gets every event afterwards', async () => {
  const slow = await openRaw('shard=all&limit=44')
  const stream = await openRaw('shard=all&limit=44')
  slow.socket.pause()
  // More than the sockets and the tail buffers hold.
  for (let i = 0; i < 44; i++) await post(1_000_000)
  await stream.closed
  expect(slow.names.length).toBeLessThan(44)
  slow.socket.resume()
  await slow.closed
  expect(new Set(slow.names).size).toBe(44)
  expect(slow.names.sort()).toEqual(stream.names.sort())
})

test('revoking a token ends its streams and no others', async () => {
  const made = await service.fetch('admin', '/admin/tokens', {
    method: 'POST',
    body: JSON.stringify({ name: 'passing', role: 'auditor' }),
  })
  const { token } = (await made.json()) as { token: string }
  const [revoked, remaining] = [
    await SubscribedStream.open(service, 'shard=all&type=KeyStatsFlushed', { token }),
    await SubscribedStream.open(service, 'shard=all&type=KeyStatsFlushed'),
  ]
  await begin(revoked)
  await begin(remaining)
  await service.fetch('admin', '/admin/tokens/passing', { method: 'DELETE' })
  await revoked.untilEnd()
  await post()
  await remaining.events(1)
  remaining.cut()
})

test('an unavailable database ends no stream; missed events arrive when it is back', async () => {
  const other = await startTestService({ database: service.database })
  const old = await SubscribedStream.open(service, 'shard=all')
  await begin(old)
  const { lastId } = old
  await proxy.lose()
  await other.post(FLUSH, { keys: [{ token_hash: 'b', requests: 1 }] })
  // A client that sends a position to resume from is accepted nevertheless.
  const late = await SubscribedStream.open(service, 'shard=all', { lastEventId: lastId! })
  await begin(late)
  const headers = { accept: 'text/event-stream' }
  expect((await service.fetch('auditor', '/audit/events', { headers })).status).toBe(503)
  await proxy.restore()
  const events = [await old.events(1), await late.events(1)]
  expect(events[0]).toEqual(events[1]!)
  old.cut()
  late.cut()
  await other.stop()
})

test('stopping the service ends its streams', async () => {
  const stream = await SubscribedStream.open(service, 'shard=all')
  await begin(stream)
  const stopped = service.stop()
  await stream.untilEnd()
  await stopped
})
