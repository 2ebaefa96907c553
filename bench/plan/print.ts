import { round } from '../measure.ts'
import type { Assumptions } from './demand.ts'
import type { End } from './ends.ts'
import type { Plan } from './plan.ts'
import type { Outcome } from './simulate.ts'

/** Formats a plan as text. */
export function formatPlan(
  plan: Plan,
  latency: Outcome,
  ends: End[],
  assumed: Assumptions,
): string {
  const { demand } = plan
  const busy = `at most ${round(assumed.utilisation * 100)} % busy`
  const lines: [string, string][] = [
    ['load', `${text(plan.flushesPerSecond)} flushes/s, ${text(plan.countsPerSecond)} counts/s`],
    ['shards', `${text(plan.shards)}, ${text(plan.flushesPerCommit)} flushes per commit`],
    ['instances', `${text(plan.instances)}, ${text(assumed.spare)} of them spare, ${busy}`],
    ['service', `${text(plan.serviceCores)} cores busy, ${text(plan.instanceMb)} MB per instance`],
    [
      'database',
      `${text(plan.databaseNodes)} node(s) of ${text(assumed.nodeCores)} cores, ` +
        `${text(plan.databaseCores)} cores busy, ${text(plan.connections)} connections at most`,
    ],
    ['rows', `${text(plan.rowsPerSecond)} of counters and usage per second`],
    ['hot memory', `${text(plan.hotGb)} GB of counters and of usage in the current bucket`],
    [
      'disk',
      `${text(plan.diskGb)} GB after ${text(demand.retentionDays)} days (${text(plan.logGb)} of ` +
        `them the log), ${text(plan.writtenMbPerSecond)} MB/s, ` +
        `${text(plan.fsyncsPerSecond)} fsyncs/s`,
    ],
    ['archive', `${text(plan.archiveGb)} GB, as Parquet ${text(plan.parquetGb)} GB`],
    ['network', `${text(plan.networkMbitPerSecond)} Mbit/s, all machines together`],
    [
      'latency',
      `simulated: p50 ${text(latency.p50Ms)} ms, p99 ${text(latency.p99Ms)} ms, ` +
        `${text(latency.queue.mean)} flushes waiting (at most ${text(latency.queue.max)})`,
    ],
    ['reads', `${text(plan.summaryMs)} ms of the database per read of the summary`],
    [
      'money',
      `${text(plan.money.perBillionCounts)} per billion counts, ` +
        `${text(plan.money.perMonth)} per month, at the prices below`,
    ],
  ]
  return [
    `${text(demand.dps)} proxies, a flush of ${text(demand.keys)} keys every ` +
      `${text(demand.intervalSeconds)} s, ${text(demand.keyCount)} API keys:`,
    ...lines.map(([name, what]) => `  ${name.padEnd(12)}${what}`),
    '',
    'Resources needed, as multiples of one, busiest first:',
    ...plan.uses.slice(0, 6).map(({ resource, unit, load, divides }) => {
      return `  ${resource.padEnd(24)}${text(load)} × ${unit}${divides ? '' : ', cannot be divided'}`
    }),
    '',
    'Limits that more machines do not relieve, at multiples of this demand:',
    ...ends.map((end) => `  ${`${text(end.factor)} ×`.padEnd(12)}${describeEnd(end)}`),
    '',
    `Assumed, not measured: ${JSON.stringify(assumed)}`,
  ].join('\n')
}

/** Lists the exceeded resources and by how much. */
export function describeEnd({ plan, broken }: End): string {
  if (!Number.isFinite(plan.instances)) return 'polling the shards takes a whole instance'
  if (broken.length === 0) return 'nothing'
  return broken.map(({ resource, load }) => `${resource} (${text(load)} ×)`).join(', ')
}

export const text = (value: number) => round(value).toLocaleString('en')
