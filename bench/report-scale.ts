import type { Chart } from './chart.ts'
import { median } from './measure.ts'
import { type Compared, compare } from './plan/compare.ts'
import { ASSUMED, type Demand } from './plan/demand.ts'
import { endsOf } from './plan/ends.ts'
import { latencyOf } from './plan/latency.ts'
import { type Plan, plan } from './plan/plan.ts'
import { describeEnd } from './plan/print.ts'
import { type Line, type Size, toUnitCosts, type UnitCosts } from './plan/unit-costs.ts'
import { table, thousands, under } from './report-blocks.ts'
import type { Results } from './results.ts'

/** Demands of the table: numbers of proxies, each with a flush of 100 keys every 5 s. */
const PROXIES = [100, 1_000, 10_000, 100_000, 1_000_000]
const DEMAND: Demand = { dps: 0, intervalSeconds: 5, keys: 100, retentionDays: 90, keyCount: 1e4 }

/** Renders the blocks of docs/measurements/scale.md; none if the costs were not measured. */
export function renderScale(results: Results): Record<string, string> {
  const found = measuredOf(results)
  if (found === null) return {}
  const { shards, compared, costs } = found
  return {
    curve: under(shards.conditions, renderCurve(compared)),
    'unit costs': renderUnitCosts(costs),
    plan: renderPlans(costs),
    ends: renderEnds(costs),
  }
}

/** Chart of measured, predicted and simulated flushes by number of shards. */
export function scaleCharts(results: Results): Record<string, Chart> {
  const found = measuredOf(results)
  if (found === null) return {}
  const rows = found.compared.filter(
    ({ measured }) => measured.instances === 1 && measured.connections === 64,
  )
  const keys = [...new Set(rows.filter((row) => row.isUnseen).map((row) => row.measured.keys))]
  const series = keys.flatMap((count) => {
    const own = rows.filter(({ measured }) => measured.keys === count)
    const line = (name: string, pick: (row: Compared) => number, dashed: boolean) => ({
      name: `${name}, ${count} ${count === 1 ? 'key' : 'keys'}`,
      dashed,
      points: own.map((row): [number, number] => [row.measured.shards, pick(row)]),
    })
    return [
      line('measured', ({ measured }) => measured.perSecond, false),
      line('model', ({ predicted }) => predicted.perSecond, true),
      line('simulation', ({ simulated }) => simulated.perSecond, true),
    ]
  })
  return {
    scale: {
      title: 'One instance, 64 connections, all on the same cores',
      x: 'shards',
      y: 'flushes per second',
      series,
    },
  }
}

function measuredOf({ shards, costs, footprint }: Results) {
  if (!shards || !costs) return null
  const unitCosts = toUnitCosts(shards.result, costs.result, footprint?.result)
  return { shards, costs: unitCosts, compared: compare(shards.result, unitCosts) }
}

function renderCurve(compared: Compared[]): string {
  const percent = (error: number) => `${error > 0 ? '+' : ''}${Math.round(error * 100)} %`
  const first = (row: Compared) =>
    compared.find(
      ({ measured, isUnseen }) =>
        !isUnseen &&
        measured.keys === row.measured.keys &&
        measured.connections === row.measured.connections,
    )!.measured.perSecond
  const relativeToFirst = (row: Compared, perSecond: number) => thousands(perSecond / first(row))
  const unseen = compared.filter(({ isUnseen }) => isUnseen)
  const typical = (pick: (row: Compared) => number) =>
    `${Math.round(median(unseen.map((row) => Math.abs(pick(row)))) * 100)} %`
  return [
    '![flushes per second against shards: measured, by the model, simulated](performance/scale.svg)',
    '',
    table(
      [
        ...['shards', 'instances', 'keys', 'connections', 'flushes/s', "of one shard's"],
        ...['model', 'error', 'bottleneck', 'simulation', 'error'],
        ...['p50 / p99 ms', 'simulated', 'flushes a commit', 'simulated', 'fsync ms', 'cores busy'],
      ],
      compared.map((row) => {
        const { measured, predicted, simulated } = row
        return [
          String(measured.shards),
          ...[measured.instances, measured.keys, measured.connections].map(thousands),
          thousands(measured.perSecond),
          relativeToFirst(row, measured.perSecond),
          thousands(predicted.perSecond),
          percent(row.predictedError),
          predicted.bound,
          thousands(simulated.perSecond),
          percent(row.simulatedError),
          `${thousands(measured.p50Ms)} / ${thousands(measured.p99Ms)}`,
          `${thousands(simulated.p50Ms)} / ${thousands(simulated.p99Ms)}`,
          thousands(measured.flushesPerCommit),
          thousands(simulated.flushesPerCommit),
          thousands(measured.fsyncMs),
          thousands(measured.busyCores),
        ]
      }),
    ),
    '',
    `For half of the layouts that the costs are not fitted to, the error of the model is below ` +
      `${typical(({ predictedError }) => predictedError)}, and that of the simulation below ` +
      `${typical(({ simulatedError }) => simulatedError)}.`,
  ].join('\n')
}

function renderUnitCosts(costs: UnitCosts): string {
  const line = ({ commit, flush, key }: Line) => [commit, flush, key].map(thousands)
  const size = ({ flush, key }: Size) => ['–', thousands(flush), thousands(key)]
  const rows: [string, string[]][] = [
    ['service, main thread, µs', line(costs.thread)],
    ['service, all threads, µs', line(costs.service)],
    ['database, appending, µs', line(costs.append)],
    ['load generator, µs', line(costs.generator)],
    ['database, leaf in the tree, µs', ['–', thousands(costs.integrate), '–']],
    ['read back by another instance, µs', size(costs.readBack)],
    ['write-ahead log, bytes', line(costs.walBytes)],
    ['log and its indexes, bytes', size(costs.logBytes)],
    ['tiles, bytes', ['–', thousands(costs.tileBytes), '–']],
    ['archive, bytes', size(costs.archiveBytes)],
    ['Parquet, bytes', size(costs.parquetBytes)],
    ['HTTP, both ways, bytes', size(costs.httpBytes)],
    ['service and database, both ways, bytes', size(costs.databaseBytes)],
  ]
  const { row, rowBytes, idle, growing, fsync } = costs
  const milli = (cores: number) => thousands(cores * 1e3)
  return [
    table(
      ['', 'per commit', 'per flush', 'per key'],
      rows.map(([name, cells]) => [name, ...cells]),
    ),
    '',
    table(
      ['', 'service', 'database'],
      [
        ['a row of counters or usage, µs', thousands(row.service), thousands(row.database)],
        [
          'an instance without load, thousandths of a core',
          milli(idle.service.instance),
          milli(idle.database.instance),
        ],
        [
          'each shard that it polls, the same',
          milli(idle.service.shard),
          milli(idle.database.shard),
        ],
        [
          'each shard that grows every second, the same',
          milli(growing.service),
          milli(growing.database),
        ],
        [
          'a read of the summary, µs',
          thousands(costs.summary.service.instance),
          thousands(costs.summary.database.instance),
        ],
        [
          'the same, each additional shard, µs',
          thousands(costs.summary.service.shard),
          thousands(costs.summary.database.shard),
        ],
      ],
    ),
    '',
    `Bytes: ${thousands(rowBytes.counters)} per row of counters, ${thousands(rowBytes.usage)} per row ` +
      `of usage, ${thousands(rowBytes.snapshotPerId)} per id in a snapshot, ${thousands(row.walBytes)} of ` +
      `the write-ahead log per written row. fsync: p50 ` +
      `${thousands(fsync.ms[fsync.shares.indexOf(0.5)]!)} ms, p99 ` +
      `${thousands(fsync.ms[fsync.shares.indexOf(0.99)]!)} ms.`,
  ].join('\n')
}

function renderPlans(costs: UnitCosts): string {
  const plans = PROXIES.map((dps) => plan(costs, { ...DEMAND, dps }, ASSUMED))
  const lines: [string, (found: Plan) => string][] = [
    ['flushes/s', (found) => thousands(found.flushesPerSecond)],
    ['counts/s', (found) => thousands(found.countsPerSecond)],
    ['shards', ({ shards }) => thousands(shards)],
    ['instances, including a spare', ({ instances }) => thousands(instances)],
    ['service cores busy', (found) => thousands(found.serviceCores)],
    ['MB per instance', (found) => thousands(found.instanceMb)],
    [`database nodes of ${ASSUMED.nodeCores} cores`, (found) => thousands(found.databaseNodes)],
    ['database cores busy', (found) => thousands(found.databaseCores)],
    ['GB of rows that change', (found) => thousands(found.hotGb)],
    ['coordinator cores', (found) => thousands(found.coordinatorCores)],
    ['connections, maximum', (found) => thousands(found.connections)],
    ['fsyncs/s', (found) => thousands(found.fsyncsPerSecond)],
    ['written MB/s', (found) => thousands(found.writtenMbPerSecond)],
    ['disk TB', (found) => thousands(found.diskGb / 1e3)],
    ['archive TB', (found) => thousands(found.archiveGb / 1e3)],
    ['Mbit/s', (found) => thousands(found.networkMbitPerSecond)],
    ['p99 ms, simulated', (found) => thousands(latencyOf(costs, found, ASSUMED).p99Ms)],
    ['money per billion counts', (found) => thousands(found.money.perBillionCounts)],
    ['disk share', (found) => share(found)],
    ['busiest resource', (found) => useOf(found, 0)],
    ['second busiest', (found) => useOf(found, 1)],
  ]
  return table(
    ['proxies', ...PROXIES.map(thousands)],
    lines.map(([name, pick]) => [name, ...plans.map(pick)]),
  )
}

const share = ({ diskGb, money }: Plan) =>
  `${Math.round((diskGb * ASSUMED.price.diskGbMonth * 100) / money.perMonth)} %`

/** A resource and how many of it are needed. */
function useOf({ uses }: Plan, place: number): string {
  const { resource, load } = uses[place]!
  return `${resource}, ${thousands(load)} ×`
}

function renderEnds(costs: UnitCosts): string {
  const ends = endsOf(costs, { ...DEMAND, dps: 10_000 }, ASSUMED)
  return table(
    [
      ...['times 10,000 proxies', 'what breaks', 'shards', 'instances', 'database nodes'],
      ...['coordinator cores', 'cores polling shards', 'ms per catalog change'],
    ],
    ends.map((end) => [
      thousands(end.factor),
      describeEnd(end),
      thousands(end.plan.shards),
      thousands(end.plan.instances),
      thousands(end.plan.databaseNodes),
      thousands(end.plan.coordinatorCores),
      thousands(end.plan.pollingCores),
      thousands(end.plan.catalogLockMs),
    ]),
  )
}
