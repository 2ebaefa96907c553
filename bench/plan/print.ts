import { round } from '../measure.ts'
import type { Assumptions } from './demand.ts'
import type { End } from './ends.ts'
import type { Plan } from './plan.ts'
import type { Outcome } from './simulate.ts'

/** A plan as people read it. */
export function printable(plan: Plan, latency: Outcome, ends: End[], assumed: Assumptions): string {
  const { demand } = plan
  const busy = `${round(assumed.utilisation * 100)} % busy at most`
  const lines: [string, string][] = [
    ['load', `${text(plan.flushesPerSecond)} flushes/s, ${text(plan.countsPerSecond)} counts/s`],
    ['shards', `${text(plan.shards)}, ${text(plan.flushesPerCommit)} flushes a commit`],
    ['instances', `${text(plan.instances)}, ${text(assumed.spare)} of them to spare, ${busy}`],
    ['service', `${text(plan.serviceCores)} cores busy, ${text(plan.instanceMb)} MB an instance`],
    [
      'database',
      `${text(plan.databaseNodes)} node(s) of ${text(assumed.nodeCores)} cores, ` +
        `${text(plan.databaseCores)} cores busy, ${text(plan.connections)} connections at most`,
    ],
    ['rows', `${text(plan.rowsPerSecond)} of counters and usage a second`],
    ['hot memory', `${text(plan.hotGb)} GB of counters, and of usage of this quarter of an hour`],
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
        `${text(latency.queue.mean)} flushes wait (at most ${text(latency.queue.most)})`,
    ],
    ['reads', `${text(plan.summaryMs)} ms of the database a read of the summary`],
    [
      'money',
      `${text(plan.money.perBillionCounts)} per billion counts, ` +
        `${text(plan.money.perMonth)} a month, at the prices below`,
    ],
  ]
  return [
    `${text(demand.dps)} proxies, a flush of ${text(demand.keys)} keys each ` +
      `${text(demand.intervalSeconds)} s, ${text(demand.keyCount)} API keys:`,
    ...lines.map(([name, what]) => `  ${name.padEnd(12)}${what}`),
    '',
    'Busiest first, of one of each:',
    ...plan.uses.slice(0, 6).map(({ resource, unit, of, divides }) => {
      return `  ${resource.padEnd(24)}${text(of)} × ${unit}${divides ? '' : ', not to be divided'}`
    }),
    '',
    'On the way up, what more machines do not relieve:',
    ...ends.map((end) => `  ${`${text(end.factor)} ×`.padEnd(12)}${describeEnd(end)}`),
    '',
    `Assumed, not measured: ${JSON.stringify(assumed)}`,
  ].join('\n')
}

/** What breaks there, and how far it is over its end. */
export function describeEnd({ plan, broken }: End): string {
  if (!Number.isFinite(plan.instances)) return 'looking at every shard takes an instance whole'
  if (broken.length === 0) return 'nothing'
  return broken.map(({ resource, of }) => `${resource} (${text(of)} ×)`).join(', ')
}

export const text = (value: number) => round(value).toLocaleString('en')
