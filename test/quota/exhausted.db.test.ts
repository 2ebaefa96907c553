import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import pino from 'pino'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { ExhaustedList } from '../../src/quota/exhausted-list.ts'
import { periodAt } from '../../src/quota/periods.ts'
import { Projector } from '../../src/read-model/projector/projector.ts'
import { AsOfQueries } from '../../src/read-model/queries/as-of.ts'
import { SubscribedStream } from '../support/follow.ts'
import { expectProblem } from '../support/problem.ts'
import { TEST_SHARDS } from '../support/server.ts'
import { TOKENS, useInstances, useService } from '../support/service.ts'

// GET /internal/quota/exhausted: the keys that have used their quota, once and live, with two
// instances on one database.

const [service, other] = useInstances()
const PATH = '/internal/quota/exhausted'

type Item = {
  token_hash: string
  quota_limit: number
  quota_used: number
  resets_at: string | null
}
type Page = { items: Item[]; next_cursor: string | null }

const read = async (query = '', on = service) => {
  const response = await on.fetch('dp', `${PATH}${query}`)
  expect(response.status).toBe(200)
  return (await response.json()) as Page
}
const flush = (token_hash: string, tokens: number, on = service) =>
  on.post('/internal/stats/flush', { keys: [{ token_hash, requests: 1, tokens }] })
const put = (token_hash: string, row: object) =>
  service.putCatalog({ keys: [{ token_hash, ...row }] })

const open = (on = service) => SubscribedStream.open(on, '', { token: TOKENS.dp, path: PATH })

/** Returns the next events as `[event, token_hash]`. */
async function take(stream: SubscribedStream, count: number) {
  const events: [string, string | undefined][] = []
  while (events.length < count) {
    const block = await stream.next()
    if (block === null) throw new Error('the stream ended')
    if (block.event === undefined) continue
    events.push([block.event, JSON.parse(block.data!).token_hash])
  }
  return events
}

describe('the list', () => {
  test('has keys that reached their limit, not unlimited and retired ones', async () => {
    expect(await read()).toEqual({ items: [], next_cursor: null })
    await put('a', { quota_limit: 10 })
    await put('b', { quota_limit: 10, quota_period: 'day', quota_tz: 'Asia/Tokyo' })
    await put('c', { quota_limit: 0 })
    await put('d', { quota_limit: -1 })
    await put('e', { quota_limit: 10 })
    await put('f', { quota_limit: 10 })
    for (const hash of ['a', 'b', 'd', 'e']) await flush(hash, hash === 'a' ? 10 : 12, other)
    await flush('f', 9)
    await service.fetch('admin', '/admin/keys/e', { method: 'DELETE' })
    const resets_at = periodAt('day', 'Asia/Tokyo', Date.now()).end
    const items = [
      { token_hash: 'a', quota_limit: 10, quota_used: 10, resets_at: null },
      { token_hash: 'b', quota_limit: 10, quota_used: 12, resets_at },
      { token_hash: 'c', quota_limit: 0, quota_used: 0, resets_at: null },
    ]
    expect(await read()).toEqual({ items, next_cursor: null })
    expect(await read('', other)).toEqual({ items, next_cursor: null })
    const first = await read('?limit=2')
    expect(first.items).toEqual(items.slice(0, 2))
    expect(await read(`?limit=2&cursor=${first.next_cursor}`)).toEqual({
      ...{ items: items.slice(2), next_cursor: null },
    })
  })

  test('is for the data plane, and refuses what it does not know', async () => {
    for (const role of ['admin', 'auditor'] as const) {
      await expectProblem(await service.fetch(role, PATH), 403, 'forbidden')
    }
    await expectProblem(await service.fetch('dp', `${PATH}?limit=0`), 400, 'invalid request')
    await expectProblem(await service.fetch('dp', `${PATH}?cursor=x`), 400, 'invalid query')
    await expectProblem(await service.fetch('dp', `${PATH}?as_of=x`), 400, 'invalid request')
  })
})

describe('a stream', () => {
  test('lists all keys, and then tells of every change, by any instance', async () => {
    const stream = await open()
    const listed = [
      ...[
        ['exhausted', 'a'],
        ['exhausted', 'b'],
        ['exhausted', 'c'],
        ['listed', undefined],
      ],
    ] as [string, string | undefined][]
    expect(await take(stream, 4)).toEqual(listed)
    await flush('f', 1, other)
    expect(await take(stream, 1)).toEqual([['exhausted', 'f']])
    // More usage of an exhausted key is no news.
    await flush('f', 5)
    await service.act('/admin/keys/f/quota-reset', { reason: 'new contract' })
    expect(await take(stream, 1)).toEqual([['available', 'f']])
    await put('a', { quota_limit: 100 })
    expect(await take(stream, 1)).toEqual([['available', 'a']])
    await put('b', { quota_limit: 11 })
    expect(await take(stream, 1)).toEqual([['exhausted', 'b']])
    await put('c', { quota_limit: -1 })
    expect(await take(stream, 1)).toEqual([['available', 'c']])
    await service.fetch('admin', '/admin/keys/b', { method: 'DELETE' })
    expect(await take(stream, 1)).toEqual([['available', 'b']])
    // A stream that begins meanwhile gets the list as it is now.
    await put('a', { quota_limit: 10 })
    const [late, elsewhere] = await Promise.all([open(), open(other)])
    expect(await take(stream, 1)).toEqual([['exhausted', 'a']])
    for (const another of [late, elsewhere]) {
      const [first] = await take(another, 1)
      if (first![0] === 'exhausted') expect((await take(another, 1))[0]![0]).toBe('listed')
      else expect(await take(another, 1)).toEqual([['exhausted', 'a']])
      another.cut()
    }
    stream.cut()
  })

  test('of many keys comes in order, and is followed by changes made meanwhile', async () => {
    const hashes = Array.from({ length: 3_000 }, (_, i) => `many-${String(i).padStart(5, '0')}`)
    await service.putCatalog({
      keys: hashes.map((token_hash) => ({ token_hash, quota_limit: 0 })),
    })
    const stream = await open()
    const events = await take(stream, hashes.length + 2)
    expect(events.map(([, hash]) => hash)).toEqual(['a', ...hashes, undefined])
    await put('many-00007', { quota_limit: 1 })
    expect(await take(stream, 1)).toEqual([['available', 'many-00007']])
    stream.cut()
  })
})

describe('a period', () => {
  let pools: Pools
  let projector: Projector

  beforeAll(() => {
    pools = openPools(service.database.address, TEST_SHARDS)
    projector = new Projector(pools, TEST_SHARDS, pino({ level: 'silent' }))
    projector.start()
  })
  afterAll(async () => {
    await projector.stop()
    await pools.close()
  })

  test('that ends makes its keys available, though nothing is written', async () => {
    await put('g', { quota_limit: 10, quota_period: 'month' })
    await put('h', { quota_limit: 0, quota_period: 'day' })
    await flush('g', 10)
    const now = { ms: Date.now() }
    const history = new AsOfQueries(pools, TEST_SHARDS)
    const options = { sql: pools.read, projector, history, nowMs: () => now.ms }
    const list = new ExhaustedList(options)
    const found = () => ['g', 'h'].map((hash) => list.keys.get(hash)?.resets_at)
    expect(await list.refresh()).toBe(true)
    const month = periodAt('month', 'UTC', now.ms).end
    expect(found()).toEqual([month, periodAt('day', 'UTC', now.ms).end])
    const before = list.keys
    expect(await list.refresh()).toBe(true)
    // Nothing has changed, so it was not read again.
    expect(list.keys).toBe(before)
    now.ms = Date.parse(month) - 1
    await list.refresh()
    expect(found()).toEqual([month, month])
    now.ms = Date.parse(month)
    await list.refresh()
    expect(found()).toEqual([undefined, periodAt('day', 'UTC', now.ms).end])
  })
})

describe('streams', () => {
  const few = useService({ maxSubscribers: 2 })

  test('count towards the limit of live subscribers, and end with the service', async () => {
    const events = await SubscribedStream.open(few, 'shard=0')
    const stream = await open(few)
    const refused = await few.fetch('dp', PATH, { headers: { accept: 'text/event-stream' } })
    await expectProblem(refused, 503, 'too many streams')
    const full = await few.fetch('auditor', '/audit/events?shard=0', {
      headers: { accept: 'text/event-stream' },
    })
    await expectProblem(full, 503, 'too many streams')
    events.cut()
    let again = 503
    while (again === 503) {
      const abort = new AbortController()
      const { status } = await few.fetch('dp', PATH, {
        headers: { accept: 'text/event-stream' },
        signal: abort.signal,
      })
      again = status
      abort.abort()
    }
    expect(again).toBe(200)
    expect(await take(stream, 1)).toEqual([['listed', undefined]])
    await few.stop()
    await stream.untilEnd()
  })
})
