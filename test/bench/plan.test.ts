import { describe, expect, test } from 'bun:test'
import { readPlanArguments } from '../../bench/plan/arguments.ts'
import { ASSUMED, type Demand } from '../../bench/plan/demand.ts'
import { endsOf } from '../../bench/plan/ends.ts'
import { latencyOf } from '../../bench/plan/latency.ts'
import { plan } from '../../bench/plan/plan.ts'
import { predict } from '../../bench/plan/predict.ts'
import { formatPlan } from '../../bench/plan/print.ts'
import { makeCosts, makeFree } from './costs.ts'

const DEMAND: Demand = {
  dps: 10_000,
  intervalSeconds: 5,
  keys: 100,
  retentionDays: 90,
  keyCount: 10_000,
}

describe('a prediction', () => {
  const load = { shards: 1, instances: 1, keys: 1, connections: 64, keyCount: 64, cores: 2 }

  test('is the lowest of its bounds, and names it', () => {
    const found = predict(makeCosts(), load)
    expect(found.perSecond).toBe(Math.min(...Object.values(found.bounds)))
    expect(found.bounds[found.bound]).toBe(found.perSecond)
  })

  test('for a single client is the reciprocal of the time of a flush', () => {
    const { bound, perSecond } = predict(makeFree({}), { ...load, connections: 1 })
    expect(perSecond).toBeCloseTo(5_000, 6)
    expect(['waiting clients', 'shard']).toContain(bound)
  })

  test('falls with more shards on two cores, because batches become smaller', () => {
    const at = (shards: number) => predict(makeCosts(), { ...load, shards }).perSecond
    expect(at(8)).toBeLessThan(at(1))
    expect(predict(makeCosts(), { ...load, cores: 32, shards: 8 }).bound).not.toBe('cores')
  })
})

describe('a plan', () => {
  test('adds up the costs of flushes', () => {
    const found = plan(makeCosts(), DEMAND, ASSUMED)
    expect(found.flushesPerSecond).toBe(2_000)
    expect(found.countsPerSecond).toBe(200_000)
    // 240 + 8 × 100 bytes of the log, and 32 of tiles.
    expect(found.logGb).toBeCloseTo((2_000 * 86_400 * 90 * 1_072) / 1e9, 6)
    expect(found.archiveGb).toBeCloseTo((2_000 * 86_400 * 90 * 490) / 1e9, 6)
    expect(found.diskGb).toBeGreaterThan(found.logGb)
    expect(found.uses[0]!.load).toBe(Math.max(...found.uses.map(({ load }) => load)))
  })

  test('needs no less for a larger demand', () => {
    const small = plan(makeCosts(), DEMAND, ASSUMED)
    for (const more of [{ dps: 100_000 }, { keys: 1_000 }, { intervalSeconds: 1 }]) {
      const large = plan(makeCosts(), { ...DEMAND, ...more }, ASSUMED)
      for (const field of [
        'serviceCores',
        'databaseCores',
        'diskGb',
        'instances',
        'shards',
      ] as const)
        expect(large[field]).toBeGreaterThanOrEqual(small[field])
    }
  })

  test('keeps every thread and lock within the assumed utilisation', () => {
    for (const dps of [1_000, 50_000, 1_000_000]) {
      const found = plan(makeCosts(), { ...DEMAND, dps }, ASSUMED)
      const use = (name: string) => found.uses.find(({ resource }) => resource === name)!.load
      expect(use('service thread') / (found.instances - ASSUMED.spare)).toBeLessThanOrEqual(0.5)
      expect(use('append lock') / found.shards).toBeLessThanOrEqual(0.5)
    }
  })

  test('writes at most one row per key in a batch', () => {
    // With few keys, most entries fall on a key that the batch already has.
    const few = plan(makeCosts(), { ...DEMAND, keyCount: 100 }, ASSUMED)
    const many = plan(makeCosts(), { ...DEMAND, keyCount: 1e9 }, ASSUMED)
    expect(few.rowsPerSecond).toBeLessThan(many.rowsPerSecond / 10)
    expect(many.rowsPerSecond).toBeLessThanOrEqual(many.countsPerSecond)
  })

  test('costs the sum of its parts', () => {
    const free = { coreHour: 0, diskGbMonth: 0, archiveGbMonth: 0, networkGb: 0 }
    const at = (price: Partial<typeof free>) =>
      plan(makeCosts(), DEMAND, { ...ASSUMED, price: { ...free, ...price } }).money.perMonth
    expect(at({})).toBe(0)
    const parts = [{ coreHour: 2 }, { diskGbMonth: 3 }, { archiveGbMonth: 4 }, { networkGb: 5 }]
    const sum = parts.reduce((total, part) => total + at(part), 0)
    expect(at(Object.assign({}, ...parts))).toBeCloseTo(sum, 3)
  })

  test('needs infinitely many instances if polling the shards takes a whole one', () => {
    const idle = { service: { instance: 0, shard: 0.6 }, database: { instance: 0, shard: 0 } }
    const [end] = endsOf(makeCosts({ idle }), DEMAND, ASSUMED, [1])
    expect(end!.plan.instances).toBe(Number.POSITIVE_INFINITY)
  })

  test('is printed with its latency and its limits', () => {
    const costs = makeCosts()
    const found = plan(costs, DEMAND, ASSUMED)
    const printed = formatPlan(
      found,
      latencyOf(costs, found, ASSUMED),
      endsOf(costs, DEMAND, ASSUMED),
      ASSUMED,
    )
    expect(printed).toContain('10,000 proxies, a flush of 100 keys every 5 s')
    expect(printed).toContain('Assumed, not measured')
    expect(printed).not.toMatch(/NaN|undefined/)
  })
})

describe('arguments', () => {
  const required = ['--dps', '10000', '--interval', '5', '--keys', '100', '--retention', '90']

  test('set the demand; omitted ones have their defaults', () => {
    const found = readPlanArguments([...required, '--price-core', '0', '--json'])
    if (typeof found === 'string') throw new Error(found)
    expect(found.demand).toEqual(DEMAND)
    expect(found.json).toBe(true)
    expect(found.assumed.price.coreHour).toBe(0)
    expect(found.assumed.utilisation).toBe(ASSUMED.utilisation)
  })

  test('that are invalid are named, with the usage', () => {
    const problem = (...args: string[]) => String(readPlanArguments(args))
    expect(problem(...required.slice(2))).toStartWith('--dps is missing')
    expect(problem(...required, '--keys', 'many')).toStartWith('--keys cannot be many')
    expect(problem(...required, '--interval', '0')).toStartWith('--interval cannot be 0')
    expect(problem(...required, '--utilisation', '1.5')).toContain('--utilisation')
    expect(problem(...required, '--shards', '2')).toContain('Usage: bun run bench plan')
  })
})
