import { beforeAll, expect, test } from 'bun:test'
import { insertEvent } from '../support/events.ts'
import { SubscribedStream } from '../support/follow.ts'
import { TEST_INTERVALS } from '../support/intervals.ts'
import { useInstances } from '../support/service.ts'

// GET /audit/events as text/event-stream: the log live, each event once and in order.

type Event = { shard: number; position: number; recorded_at: string; type: string; source: string }

const FLUSH = '/internal/apikey-stats/flush'
const KEY_FLUSH = '/internal/stats/flush'

const [service, other] = useInstances({
  intervals: { streams: { ...TEST_INTERVALS.streams, keepAliveMs: 200 } },
})
beforeAll(async () => {
  await service.putCatalog({ api_keys: [{ id: 1 }], keys: [{ token_hash: 'a' }] })
})

let keys = 0
/** Posts `count` flushes one after the other, spread over the shards. */
async function post(count: number, through = service, path = FLUSH): Promise<void> {
  for (let i = 0; i < count; i++) {
    const entry = path === FLUSH ? { api_key_id: 1, requests: 1 } : { token_hash: 'a', requests: 1 }
    const key = { 'idempotency-key': `key-${keys++}` }
    expect((await through.post(path, { keys: [entry] }, key)).status).toBe(200)
  }
}

/** Reads the log as one range, merged by time. */
async function readLog(query = 'shard=all'): Promise<Event[]> {
  const headers = { accept: 'application/x-ndjson' }
  const response = await service.fetch('auditor', `/audit/events?${query}`, { headers })
  const lines = (await response.text()).split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line))
}

const nameOf = ({ shard, position }: Event) => `${shard}/${position}`

function expectInOrder(events: Event[]): void {
  const last = new Map<number, number>()
  for (const { shard, position } of events) {
    expect(position).toBeGreaterThan(last.get(shard) ?? -1)
    last.set(shard, position)
  }
}

test('a stream starts with its id and delivers the events appended from then on', async () => {
  const stream = await SubscribedStream.open(service, 'shard=all')
  expect(stream.response.headers.get('content-type')).toBe('text/event-stream')
  expect(stream.response.headers.get('vary')).toBe('Accept')
  expect(stream.response.headers.get('cache-control')).toBe('no-store')
  const before = await readLog()
  const first = await stream.next()
  expect(first).toEqual({ retry: '1000', id: expect.stringMatching(/^0\/\d+/) })
  await post(5)
  const events = await stream.events<Event>(5)
  expectInOrder(events)
  const log = (await readLog()).slice(before.length)
  expect(events.map(nameOf).sort()).toEqual(log.map(nameOf).sort())
  stream.cut()
})

test('an event is sent with its type, its id and its NDJSON line as data', async () => {
  await post(1)
  const stream = await SubscribedStream.open(service, 'shard=0&after=-1&limit=2')
  const lines = await readLog('shard=0&limit=2')
  const [start, first, second, end] = [
    await stream.next(),
    await stream.next(),
    await stream.next(),
    await stream.next(),
  ]
  expect(start).toEqual({ retry: '1000', id: '0/-1' })
  expect(first).toEqual({ event: lines[0]!.type, id: '0/0', data: JSON.stringify(lines[0]) })
  expect(second?.id).toBe('0/1')
  expect(end).toBeNull()
})

test('Last-Event-ID takes precedence over after=, and after= over the head', async () => {
  const shards = Array.from({ length: service.shards }, (_, shard) => `${shard}/-1`).join(',')
  const log = await readLog()
  const all = await SubscribedStream.open(service, `shard=all&after=${shards}`)
  expect(await all.events<Event>(log.length)).toEqual(log)
  all.cut()
  const own = log.filter(({ shard }) => shard === 0)
  const resumed = await SubscribedStream.open(service, 'shard=0&after=-1', { lastEventId: '0/1' })
  expect(await resumed.events<Event>(own.length - 2)).toEqual(own.slice(2))
  resumed.cut()
  for (const lastEventId of ['x', '0/', `${service.shards}/1`, '0/1,0/2', '0/1e5']) {
    await expect(SubscribedStream.open(service, 'shard=all', { lastEventId })).rejects.toThrow(
      '400',
    )
  }
  await expect(SubscribedStream.open(service, `shard=${service.shards}`)).rejects.toThrow('400')
})

test('a stream delivers events that another instance appends', async () => {
  const streams = [
    await SubscribedStream.open(service, 'shard=all'),
    await SubscribedStream.open(other, 'shard=all'),
  ]
  const before = (await readLog()).length
  await Promise.all([post(10, service), post(10, other)])
  const log = (await readLog()).slice(before).map(nameOf)
  for (const stream of streams) {
    const events = await stream.events<Event>(20)
    expectInOrder(events)
    expect(events.map(nameOf).sort()).toEqual(log.toSorted())
    stream.cut()
  }
})

test.each(['all', '0'])(
  'a subscriber of shard=%s that reconnects misses no event',
  async (shard) => {
    const query = `shard=${shard}`
    const before = (await readLog(query)).length
    const shards = shard === '0' ? 1 : service.shards
    let stream = await SubscribedStream.open(service, query)
    // A client that is disconnected before its first block has no id to resume from.
    await stream.next()
    const posts = Promise.all([post(60), post(60, other)]).then(async () => {
      for (let last = 0; last < shards; last++) {
        await insertEvent(service.database.owner, { shard: last })
      }
    })
    const events: Event[] = []
    const isComplete = () => events.filter(({ source }) => source === 'owner').length === shards
    for (let cuts = 0; !isComplete(); cuts++) {
      for (let blocks = cuts % 7; blocks > 0 && !isComplete(); blocks--) {
        const block = await stream.next()
        if (block?.data !== undefined) events.push(JSON.parse(block.data))
      }
      const lastEventId = stream.lastId!
      stream.cut()
      stream = await SubscribedStream.open(cuts % 2 === 0 ? service : other, query, { lastEventId })
      stream.lastId = lastEventId
    }
    await posts
    stream.cut()
    expectInOrder(events)
    const log = (await readLog(query)).slice(before)
    expect(events.map(nameOf).sort()).toEqual(log.map(nameOf).sort())
  },
)

test('a filter applies to past events and to new ones', async () => {
  const types = ['ApiKeyStatsFlushed', 'KeyStatsFlushed']
  for (const type of types) {
    const shards = Array.from({ length: service.shards }, (_, shard) => `${shard}/-1`).join(',')
    const stream = await SubscribedStream.open(service, `shard=all&type=${type}&after=${shards}`)
    await post(2, service, KEY_FLUSH)
    await post(2, other, FLUSH)
    const matching = (await readLog(`shard=all&type=${type}`)).map(nameOf)
    const events = await stream.events<Event>(matching.length)
    expect(events.every((event) => event.type === type)).toBe(true)
    expect(events.map(nameOf).sort()).toEqual(matching.sort())
    stream.cut()
  }
  const stream = await SubscribedStream.open(service, 'shard=all&source=admin')
  await post(3)
  await service.putCatalog({ api_keys: [{ id: 2 }] })
  expect(await stream.events<Event>(1)).toMatchObject([{ source: 'admin' }])
  stream.cut()
})

test('from= and to= bound a stream; keep-alives advance its id past other events', async () => {
  const log = await readLog()
  const from = log[5]!.recorded_at
  const to = log[12]!.recorded_at
  const query = `shard=all&from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}`
  const matching = log.filter(({ recorded_at: at }) => at >= from && at < to)
  const past = await SubscribedStream.open(service, query)
  const quiet = await SubscribedStream.open(service, 'shard=0&source=nobody')
  expect((await past.events<Event>(matching.length)).map(nameOf)).toEqual(matching.map(nameOf))
  const { id: start } = (await quiet.next())!
  const position = await insertEvent(service.database.owner, {})
  expect(start).toBe(`0/${position - 1}`)
  await Promise.all([expectKeepAlive(past, position), expectKeepAlive(quiet, position)])
})

/** Expects only keep-alives, up to one with the id of the event that was filtered out. */
async function expectKeepAlive(stream: SubscribedStream, position: number): Promise<void> {
  const pattern = new RegExp(`^0/${position}(,|$)`)
  while (!pattern.test(stream.lastId ?? '')) {
    const block = await stream.nextOrKeepAlive()
    expect(block?.comment).toBe('')
    expect(block?.data).toBeUndefined()
  }
  stream.cut()
}

test('a payload with line breaks is sent on one line', async () => {
  const stream = await SubscribedStream.open(service, 'shard=0')
  await stream.next()
  const payload = '{"a":\n1}'
  await insertEvent(service.database.owner, { payload })
  expect(await stream.events(1)).toMatchObject([{ payload_text: payload }])
  stream.cut()
})

test('an event of two MB reaches a subscriber complete', async () => {
  const stream = await SubscribedStream.open(service, 'shard=0')
  await stream.next()
  const payload = JSON.stringify({ text: 'é'.repeat(1024 * 1024) })
  const position = await insertEvent(service.database.owner, { payload })
  expect(await stream.events(1)).toMatchObject([{ position, payload: JSON.parse(payload) }])
  stream.cut()
  const late = await SubscribedStream.open(service, `shard=0&after=${position - 1}&limit=1`)
  expect(await late.events(1)).toMatchObject([{ position }])
})
