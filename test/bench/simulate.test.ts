import { describe, expect, test } from 'bun:test'
import { Engine, seeded } from '../../bench/plan/engine.ts'
import { type Simulated, simulate } from '../../bench/plan/simulate.ts'
import { makeCosts, makeFree } from './costs.ts'

const CLOSED: Simulated = {
  shards: 1,
  instances: 1,
  keys: 1,
  keyCount: 1_000,
  posting: { kind: 'closed', connections: 64 },
  cores: 2,
  seconds: 1,
  seed: 7,
}

describe('threads share cores', () => {
  const end = (cores: number, jobs: number[]) => {
    const engine = new Engine()
    const set = engine.addCores(cores)
    const ends: number[] = []
    for (const us of jobs) set.addThread().do(us, () => ends.push(engine.now))
    engine.runUntil(1_000)
    return ends
  }

  test('at full speed if there are enough', () => {
    expect(end(2, [100, 300])).toEqual([100, 300])
  })

  test('at the same lower speed if there are not enough', () => {
    // Both at half speed until the first ends at 200, then the other alone.
    expect(end(1, [100, 300])).toEqual([200, 400])
  })

  test('and no thread is faster than one core', () => {
    expect(end(8, [100])).toEqual([100])
  })

  test('and a thread runs one job after the other', () => {
    const engine = new Engine()
    const thread = engine.addCores(4).addThread()
    const ends: number[] = []
    for (const us of [10, 20, 5]) thread.do(us, () => ends.push(engine.now))
    engine.runUntil(100)
    expect(ends).toEqual([10, 30, 35])
  })
})

test('equal seeds give equal outcomes, different seeds different ones', () => {
  const costs = makeCosts()
  expect(simulate(costs, CLOSED)).toEqual(simulate(costs, CLOSED))
  expect(simulate(costs, { ...CLOSED, seed: 8 })).not.toEqual(simulate(costs, CLOSED))
  const draw = seeded(1)
  const drawn = Array.from({ length: 10_000 }, draw)
  expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...drawn)).toBeLessThan(1)
  expect(drawn.reduce((sum, one) => sum + one, 0) / drawn.length).toBeCloseTo(0.5, 1)
})

describe('a single bottleneck determines the throughput', () => {
  test('fsync: a single client waits for one per flush', () => {
    const posting = { kind: 'closed', connections: 1 } as const
    const outcome = simulate(makeFree({}), { ...CLOSED, posting })
    expect(outcome.perSecond).toBeCloseTo(5_000, -2)
    expect(outcome.p50Ms).toBeCloseTo(0.2, 3)
    expect(outcome.flushesPerCommit).toBeCloseTo(1, 2)
  })

  test('fsync: clients that wait at the same time share commits', () => {
    const outcome = simulate(makeFree({}), CLOSED)
    expect(outcome.flushesPerCommit).toBeGreaterThan(16)
    expect(outcome.perSecond).toBeGreaterThan(16 * 5_000)
  })

  test("the service's thread, with any number of cores", () => {
    const costs = makeFree({
      thread: { commit: 0, flush: 100, key: 0 },
      service: { commit: 0, flush: 100, key: 0 },
    })
    const outcome = simulate(costs, { ...CLOSED, cores: 8 })
    expect(outcome.perSecond).toBeCloseTo(10_000, -3)
    const two = simulate(costs, { ...CLOSED, cores: 8, instances: 2 })
    expect(two.perSecond).toBeCloseTo(20_000, -3)
  })

  test('the lock of a shard, which more shards relieve if there are enough cores', () => {
    const costs = makeFree({ append: { commit: 0, flush: 100, key: 0 } })
    const one = simulate(costs, { ...CLOSED, cores: 8 })
    const four = simulate(costs, { ...CLOSED, cores: 8, shards: 4 })
    expect(one.perSecond).toBeGreaterThan(7_000)
    expect(one.perSecond).toBeLessThan(10_000)
    expect(four.perSecond / one.perSecond).toBeGreaterThan(3)
  })

  test('two shared cores: more shards reduce throughput, because batches become smaller', () => {
    const one = simulate(makeCosts(), CLOSED)
    const eight = simulate(makeCosts(), { ...CLOSED, shards: 8 })
    expect(eight.perSecond).toBeLessThan(one.perSecond)
    expect(eight.flushesPerCommit).toBeLessThan(one.flushesPerCommit)
  })
})

describe('proxies that post at intervals', () => {
  const open: Simulated = {
    ...CLOSED,
    posting: { kind: 'open', proxies: 1_000, intervalMs: 1_000, jitter: 0.1 },
    cores: { service: 2, database: 4 },
    seconds: 3,
  }

  test('are all served if there is enough capacity, each flush once', () => {
    const outcome = simulate(makeCosts(), open)
    expect(outcome.perSecond).toBeGreaterThan(950)
    expect(outcome.perSecond).toBeLessThan(1_050)
    expect(outcome.queue.mean).toBeLessThan(5)
    expect(outcome.p99Ms).toBeLessThan(20)
  })

  test('queue without bound if there is not', () => {
    const costs = makeFree({
      thread: { commit: 0, flush: 2_000, key: 0 },
      service: { commit: 0, flush: 2_000, key: 0 },
    })
    const outcome = simulate(costs, open)
    expect(outcome.perSecond).toBeLessThan(550)
    expect(outcome.p99Ms).toBeGreaterThan(500)
  })
})
