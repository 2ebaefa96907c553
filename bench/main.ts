/**
 * Measures the service and its peers in one run on one database server, and writes the tables and
 * charts of docs/measurements.
 *
 *     bun run bench                  everything, about an hour
 *     bun run bench rebuild reads    only these sections; the results of the others stay
 *     bun run bench report           writes the report again without measuring
 *     bun run bench noisy --only explain   only noisy requests with this in their name; printed
 *     bun run bench retention --share 0.001   of a year of a gateway, instead of 0.01
 *     bun run bench --quick          a few seconds per section; printed, not written
 *     bun run bench --results mine.json costs shards   writes to this file, not to the report
 *     bun run bench plan --dps 10000 --interval 5 --keys 100 --retention 90   sizes that demand
 */
import { parseArgs } from 'node:util'
import { printPlan } from './plan/main.ts'
import { renderReport, writeReport } from './report.ts'
import { describeConditions, type Results, readResults, writeResults } from './results.ts'
import { type BesideOptions, measureBeside } from './sections/beside.ts'
import { type CollectOptions, measureCollect } from './sections/collect.ts'
import { type ConsoleOptions, measureConsole } from './sections/console.ts'
import { type CostsOptions, measureCosts } from './sections/costs.ts'
import { type DimensionsOptions, measureDimensions } from './sections/dimensions.ts'
import { type FootprintOptions, measureFootprint } from './sections/footprint.ts'
import { type IngestOptions, measureIngest } from './sections/ingest.ts'
import { measureNoisy, type NoisyOptions } from './sections/noisy.ts'
import { measureReads, type ReadsOptions } from './sections/reads.ts'
import { measureRebuild, type RebuildOptions } from './sections/rebuild.ts'
import { measureRetention, type RetentionOptions } from './sections/retention.ts'
import { measureShards, type ShardsOptions } from './sections/shards.ts'
import { measureTransparency, type TransparencyOptions } from './sections/transparency.ts'
import { type BenchServer, startBenchServer } from './server.ts'

type Options = {
  ingest: IngestOptions
  rebuild: RebuildOptions
  beside: BesideOptions
  reads: ReadsOptions
  footprint: FootprintOptions
  transparency: TransparencyOptions
  dimensions: DimensionsOptions
  collect: CollectOptions
  console: ConsoleOptions
  costs: CostsOptions
  shards: ShardsOptions
  noisy: NoisyOptions
  retention: RetentionOptions
}

const FULL: Options = {
  ingest: { keys: [1, 10, 100, 1_000], connections: [1, 16, 64, 256], seconds: 3, rounds: 3 },
  rebuild: { keysPerFlush: 100, events: [1e3, 1e4, 1e5, 1e6], rounds: 3, groupByEvents: 1e5 },
  beside: { keysPerFlush: 100, events: [1e5, 1e6], flushesPerSecond: 1_000, seconds: 20 },
  reads: {
    keysPerFlush: 10,
    events: [1e3, 1e4, 1e5, 1e6],
    rounds: 3,
    readsPerRound: 200,
    flushesPerSecond: 100,
  },
  footprint: {
    log: [
      [1, 100_000],
      [10, 100_000],
      [100, 20_000],
      [1_000, 2_000],
    ],
    apiKeys: [1e4, 1e5, 1e6],
    rounds: 3,
  },
  transparency: {
    points: [
      { keys: 1, connections: 64 },
      { keys: 1, connections: 256 },
      { keys: 10, connections: 64 },
      { keys: 100, connections: 64 },
    ],
    seconds: 2,
    rounds: 31,
  },
  dimensions: { points: [{ keys: 100, connections: 64 }], seconds: 2, rounds: 31 },
  collect: {
    ...{ textBytes: [0, 4_000], recordsPerBody: 100, connections: 64, seconds: 3, rounds: 3 },
    // The last is an hour of 100 records a second.
    memory: [3_600, 36_000, 360_000],
  },
  console: { keysPerFlush: 10, events: [1e3, 1e6], rounds: 15 },
  costs: {
    storage: [
      [1, 50_000],
      [10, 50_000],
      [100, 20_000],
      [1_000, 5_000],
    ],
    network: { keys: [1, 10, 100, 1_000], flushes: 2_000 },
    reads: { shards: [1, 8], reads: 2_000, cycles: 300 },
    fsyncs: 5_000,
  },
  shards: {
    layouts: [
      { shards: 1, instances: 1 },
      { shards: 2, instances: 1 },
      { shards: 4, instances: 1 },
      { shards: 8, instances: 1 },
      { shards: 4, instances: 2 },
      { shards: 4, instances: 4 },
    ],
    loads: [
      { keys: 1, connections: 64 },
      { keys: 100, connections: 64 },
    ],
    costs: [
      { keys: 10, connections: 64 },
      { keys: 1_000, connections: 64 },
      { keys: 1, connections: 1 },
      { keys: 10, connections: 1 },
      { keys: 100, connections: 1 },
      { keys: 1_000, connections: 1 },
      { keys: 1, connections: 8 },
      { keys: 100, connections: 8 },
    ],
    seconds: 4,
    quietSeconds: 10,
    rounds: 3,
  },
  noisy: { keysPerFlush: 10, events: 200_000, connections: [64, 256], seconds: 5 },
  retention: { share: 0.01, flushesPerSecond: 50, appendSeconds: 20, readsPerPage: 30 },
}

const QUICK: Options = {
  ingest: { keys: [1, 100], connections: [1, 64], seconds: 1, rounds: 1 },
  rebuild: { keysPerFlush: 100, events: [1e3, 1e4], rounds: 1, groupByEvents: 1e4 },
  beside: { keysPerFlush: 100, events: [1e4], flushesPerSecond: 300, seconds: 3 },
  reads: {
    keysPerFlush: 10,
    events: [1e3, 1e4],
    rounds: 1,
    readsPerRound: 100,
    flushesPerSecond: 100,
  },
  footprint: {
    log: [
      [1, 2_000],
      [100, 500],
    ],
    apiKeys: [1e4],
    rounds: 1,
  },
  transparency: { points: [{ keys: 1, connections: 64 }], seconds: 2, rounds: 3 },
  dimensions: { points: [{ keys: 100, connections: 64 }], seconds: 2, rounds: 3 },
  collect: {
    ...{ textBytes: [0], recordsPerBody: 100, connections: 64, seconds: 1, rounds: 1 },
    memory: [3_600, 7_200],
  },
  console: { keysPerFlush: 10, events: [1e3], rounds: 2 },
  costs: {
    storage: [
      [1, 2_000],
      [100, 1_000],
    ],
    network: { keys: [1, 100], flushes: 200 },
    reads: { shards: [1, 8], reads: 200, cycles: 30 },
    fsyncs: 300,
  },
  shards: {
    layouts: [
      { shards: 1, instances: 1 },
      { shards: 4, instances: 1 },
      { shards: 4, instances: 2 },
    ],
    loads: [
      { keys: 1, connections: 64 },
      { keys: 100, connections: 64 },
    ],
    costs: [
      { keys: 1, connections: 1 },
      { keys: 100, connections: 1 },
      { keys: 1_000, connections: 64 },
    ],
    seconds: 2,
    quietSeconds: 2,
    rounds: 1,
  },
  noisy: { keysPerFlush: 10, events: 20_000, connections: [64], seconds: 1 },
  retention: { share: 0.0001, flushesPerSecond: 50, appendSeconds: 2, readsPerPage: 20 },
}

/** Settings of the server per section: connections for several instances, timing of WAL fsyncs. */
const SETTINGS: Partial<Record<keyof Options, Record<string, string>>> = {
  shards: { max_connections: '200', track_wal_io_timing: 'on' },
}

const measure = {
  ingest: (server: BenchServer, options: Options) => measureIngest(server, options.ingest),
  rebuild: (server: BenchServer, options: Options) => measureRebuild(server, options.rebuild),
  beside: (server: BenchServer, options: Options) => measureBeside(server, options.beside),
  reads: (server: BenchServer, options: Options) => measureReads(server, options.reads),
  footprint: (server: BenchServer, options: Options) => measureFootprint(server, options.footprint),
  transparency: (server: BenchServer, options: Options) =>
    measureTransparency(server, options.transparency),
  dimensions: (server: BenchServer, options: Options) =>
    measureDimensions(server, options.dimensions),
  collect: (_: BenchServer, options: Options) => measureCollect(options.collect),
  console: (server: BenchServer, options: Options) => measureConsole(server, options.console),
  costs: (server: BenchServer, options: Options) => measureCosts(server, options.costs),
  shards: (server: BenchServer, options: Options) => measureShards(server, options.shards),
  noisy: (server: BenchServer, options: Options) => measureNoisy(server, options.noisy),
  retention: (server: BenchServer, options: Options) => measureRetention(server, options.retention),
}
const NAMES = Object.keys(measure) as (keyof typeof measure)[]

async function main(args: string[]): Promise<void> {
  if (args[0] === 'plan') return printPlan(args.slice(1))
  const { quick, file, only, share, named } = readArgs(args)
  const options = quick ? QUICK : FULL
  options.noisy.names = only
  if (share !== undefined) options.retention.share = share
  const sections = named.length === 0 ? NAMES : NAMES.filter((name) => named.includes(name))

  const results: Results = (quick || only) && !file ? {} : await readResults(file)
  for (const section of sections) {
    // A separate server, so that work left by one section does not load the next.
    const server = await startBenchServer(SETTINGS[section])
    try {
      const conditions = describeConditions(await server.readSettings())
      const result = await measure[section](server, options)
      Object.assign(results, { [section]: { conditions, result } })
    } finally {
      await server.stop()
    }
    if (!(quick || only) || file) await writeResults(results, file)
  }
  if (quick || file || only) console.log(renderReport(results))
  else await writeReport(results)
}

function readArgs(args: string[]) {
  const { values, positionals: named } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      results: { type: 'string' },
      only: { type: 'string', multiple: true },
      share: { type: 'string' },
    },
    allowPositionals: true,
  })
  const unknown = named.filter((name) => name !== 'report' && !NAMES.includes(name as never))
  if (unknown.length > 0)
    throw new Error(`Unknown section ${unknown.join(', ')}: use ${NAMES.join(', ')}`)
  const share = values.share === undefined ? undefined : Number(values.share)
  if (share !== undefined && !(share > 0 && share <= 1)) throw new Error('--share is from 0 to 1')
  return { quick: values.quick, file: values.results, only: values.only, share, named }
}

main(Bun.argv.slice(2)).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
