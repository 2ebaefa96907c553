import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import pino from 'pino'
import { readHeads, readIdentity, selectEvents } from '../../src/log/read.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import type { Line } from '../../src/subscriptions/event-line.ts'
import { type Subscriber, TailBuffers } from '../../src/subscriptions/tail-buffers.ts'
import { insertEvent } from '../support/events.ts'
import { TEST_SHARDS, useDatabase } from '../support/server.ts'

// Subscribers share the newest lines, which are read once, and only while there are subscribers.

const database = useDatabase()
let pools: Pools
/** Reads that have begun: of the heads, and of events. */
let reads: { heads: number; events: number }
let tails: TailBuffers
let isUnavailable: boolean

beforeAll(() => {
  pools = openPools(database.address, TEST_SHARDS)
})
afterAll(() => pools.close())

beforeEach(() => {
  reads = { heads: 0, events: 0 }
  isUnavailable = false
  const counted = <Value>(kind: 'heads' | 'events', read: () => Promise<Value>) => {
    reads[kind]++
    // As the driver rejects when the connection is lost.
    if (isUnavailable)
      return Promise.reject(Object.assign(new Error(), { code: 'CONNECTION_CLOSED' }))
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

/** Subscribes; the next wake can be awaited. */
function subscribe(shard: number | null = 0) {
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
    /** Returns when the shard's tail has reached `position`. */
    until: async (position: number, inShard = 0) => {
      while (tails.headOf(inShard) < position) await promise
    },
  }
}

/** Returns all lines of a tail after a position, or `evicted`. */
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

/** Subscribes to shard 0; returns when its tail has reached the head. */
async function subscribeAtHead() {
  const last = await insert()
  const one = subscribe()
  await one.until(last)
  return one
}

test('nothing is read without subscribers, whatever is appended', async () => {
  tails.noticeAppend(0, await insert())
  expect(reads).toEqual({ heads: 0, events: 0 })
  expect(linesAfter(-1)).toEqual([])
})

test('a tail begins at the head, and lines before it are evicted', async () => {
  await insert()
  const last = await insert()
  const { until, subscriber } = subscribe()
  await until(last)
  expect(linesAfter(last)).toEqual([])
  expect(linesAfter(last - 1)).toEqual(['evicted'])
  tails.leave(subscriber)
})

test('an announced append arrives at once, others with the next poll, all in order', async () => {
  const { until, subscriber } = await subscribeAtHead()
  const announced = await insert()
  tails.noticeAppend(0, announced)
  await until(announced)
  const unannounced = [await insert(), await insert()]
  await until(unannounced[1]!)
  const lines = linesAfter(announced - 1) as Line[]
  expect(lines.map(({ position }) => position)).toEqual([announced, ...unannounced])
  expect(JSON.parse(new TextDecoder().decode(lines[0]!.json))).toMatchObject({
    position: announced,
  })
  tails.leave(subscriber)
})

test('notices in any order skip no event', async () => {
  const { until, subscriber } = await subscribeAtHead()
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

test('many subscribers cost the reads of one', async () => {
  const many = [await subscribeAtHead(), ...Array.from({ length: 1_000 }, () => subscribe())]
  const before = reads.events
  const positions = [await insert(), await insert(), await insert()]
  for (const position of positions) tails.noticeAppend(0, position)
  await Promise.all(many.map(({ until }) => until(positions[2]!)))
  expect(reads.events - before).toBeLessThanOrEqual(positions.length)
  for (const { subscriber } of many) tails.leave(subscriber)
})

test('a tail continues where it was after the database was unavailable', async () => {
  const { until, subscriber } = subscribe()
  const last = await insert()
  await until(last)
  isUnavailable = true
  const appended = await insert()
  const before = reads.events
  tails.noticeAppend(0, appended)
  while (reads.events === before) await Bun.sleep(1)
  isUnavailable = false
  await until(appended)
  expect((linesAfter(last) as Line[]).map(({ position }) => position)).toEqual([appended])
  tails.leave(subscriber)
})

test('a subscriber of one shard is not woken for another', async () => {
  const own = subscribe(TEST_SHARDS - 1)
  const all = subscribe(null)
  await all.woken()
  const position = await insertEvent(database.owner, { shard: 0 })
  const wakes = own.wakes
  tails.noticeAppend(0, position)
  await all.until(position)
  if (TEST_SHARDS > 1) expect(own.wakes).toBe(wakes)
  tails.leave(own.subscriber)
  tails.leave(all.subscriber)
})

test('when the last subscriber leaves, lines are dropped and nothing is read', async () => {
  const { until, subscriber } = subscribe()
  const position = await insert()
  await until(position)
  tails.leave(subscriber)
  const before = { ...reads }
  tails.noticeAppend(0, await insert())
  expect(reads).toEqual(before)
  expect(tails.headOf(0)).toBe(-1)
})
