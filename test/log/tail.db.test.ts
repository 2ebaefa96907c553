import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import pino from 'pino'
import { readHeads, readIdentity, selectEvents } from '../../src/log/read.ts'
import type { Line } from '../../src/log/subscriptions/event-line.ts'
import { type Subscriber, TailBuffers } from '../../src/log/subscriptions/tail-buffers.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { insertEvent } from '../support/events.ts'
import { TEST_SHARDS, useDatabase } from '../support/server.ts'

// What followers of the log share: the newest lines, read once, and only while somebody follows.

const database = useDatabase()
let pools: Pools
/** Reads that have begun: of where the log stands, and of its events. */
let reads: { heads: number; events: number }
let tails: TailBuffers
let isAway: boolean

beforeAll(() => {
  pools = openPools(database.address, TEST_SHARDS)
})
afterAll(() => pools.close())

beforeEach(() => {
  reads = { heads: 0, events: 0 }
  isAway = false
  const counted = <Value>(of: 'heads' | 'events', read: () => Promise<Value>) => {
    reads[of]++
    // As the driver rejects when the connection is lost.
    if (isAway) return Promise.reject(Object.assign(new Error(), { code: 'CONNECTION_CLOSED' }))
    return read()
  }
  tails = new TailBuffers({
    shards: TEST_SHARDS,
    readHeads: () => counted('heads', () => readHeads(pools.read)),
    read: (range, limits) => counted('events', () => selectEvents(pools.read, range, limits)),
    identify: (shard, position) => readIdentity(pools.read, shard, position),
    pollIntervalMs: 20,
    logger: pino({ level: 'silent' }),
  })
})

/** A follower whose next wake can be waited for. */
function follow(shard: number | null = 0) {
  let { promise, resolve } = Promise.withResolvers<void>()
  let wakes = 0
  const subscriber: Subscriber = {
    shard,
    positionIn: () => undefined,
    wake: () => {
      wakes++
      resolve()
      ;({ promise, resolve } = Promise.withResolvers<void>())
    },
    lose: () => {},
    keepAlive: () => {},
  }
  tails.subscribe(subscriber)
  return {
    subscriber,
    get wakes() {
      return wakes
    },
    woken: () => promise,
    /** Returns when the shard's tail has come to `position`. */
    until: async (position: number, of = 0) => {
      while (tails.headOf(of) < position) await promise
    },
  }
}

/** All lines of a tail after a position, or `older`. */
function linesAfter(position: number, shard = 0): (Line | 'evicted')[] {
  const lines: (Line | 'evicted')[] = []
  for (let after = position; ; ) {
    const line = tails.lineAfter(shard, after)
    if (line === 'none') return lines
    lines.push(line)
    if (line === 'evicted') return lines
    after = line.position
  }
}

const insert = (payload = '{}') => insertEvent(database.owner, { payload })

/** A follower of shard 0, whose tail has begun. */
async function begin() {
  const last = await insert()
  const one = follow()
  await one.until(last)
  return one
}

test('nobody follows: nothing is read, whatever is appended', async () => {
  tails.noticeAppend(0, await insert())
  expect(reads).toEqual({ heads: 0, events: 0 })
  expect(linesAfter(-1)).toEqual([])
})

test('a tail begins at the head; what is before it is older', async () => {
  await insert()
  const last = await insert()
  const { until, subscriber } = follow()
  await until(last)
  expect(linesAfter(last)).toEqual([])
  expect(linesAfter(last - 1)).toEqual(['evicted'])
  tails.leave(subscriber)
})

test('an append that is told of comes at once, another with the next look; all in order', async () => {
  const { until, subscriber } = await begin()
  const told = await insert()
  tails.noticeAppend(0, told)
  await until(told)
  const untold = [await insert(), await insert()]
  await until(untold[1]!)
  const lines = linesAfter(told - 1) as Line[]
  expect(lines.map(({ position }) => position)).toEqual([told, ...untold])
  expect(JSON.parse(new TextDecoder().decode(lines[0]!.json))).toMatchObject({ position: told })
  tails.leave(subscriber)
})

test('notices in any order skip no event', async () => {
  const { until, subscriber } = await begin()
  const positions: number[] = []
  for (let i = 0; i < 20; i++) positions.push(await insert())
  for (const position of [...positions.slice(10), ...positions.slice(0, 10)]) {
    tails.noticeAppend(0, position)
  }
  await until(positions.at(-1)!)
  const lines = linesAfter(positions[0]! - 1) as Line[]
  expect(lines.map(({ position }) => position)).toEqual(positions)
  tails.leave(subscriber)
})

test('many followers cost the reads of one', async () => {
  const many = [await begin(), ...Array.from({ length: 1_000 }, () => follow())]
  const before = reads.events
  const positions = [await insert(), await insert(), await insert()]
  for (const position of positions) tails.noticeAppend(0, position)
  await Promise.all(many.map(({ until }) => until(positions[2]!)))
  expect(reads.events - before).toBeLessThanOrEqual(positions.length)
  for (const { subscriber } of many) tails.leave(subscriber)
})

test('after the database was away a tail goes on where it was', async () => {
  const { until, subscriber } = follow()
  const last = await insert()
  await until(last)
  isAway = true
  const meanwhile = await insert()
  const before = reads.events
  tails.noticeAppend(0, meanwhile)
  while (reads.events === before) await Bun.sleep(1)
  isAway = false
  await until(meanwhile)
  expect((linesAfter(last) as Line[]).map(({ position }) => position)).toEqual([meanwhile])
  tails.leave(subscriber)
})

test('a follower of one shard is not woken for another', async () => {
  const own = follow(TEST_SHARDS - 1)
  const all = follow(null)
  await all.woken()
  const position = await insertEvent(database.owner, { shard: 0 })
  const wakes = own.wakes
  tails.noticeAppend(0, position)
  await all.until(position)
  if (TEST_SHARDS > 1) expect(own.wakes).toBe(wakes)
  tails.leave(own.subscriber)
  tails.leave(all.subscriber)
})

test('when the last one leaves, all is forgotten and nothing more is read', async () => {
  const { until, subscriber } = follow()
  const position = await insert()
  await until(position)
  tails.leave(subscriber)
  const before = { ...reads }
  tails.noticeAppend(0, await insert())
  expect(reads).toEqual(before)
  expect(tails.headOf(0)).toBe(-1)
})
