/**
 * Measures the service and its peers in one run on one database server, and writes the tables and
 * charts of docs/performance.md.
 *
 *     bun run bench                  everything, about half an hour
 *     bun run bench rebuild reads    these sections only; the others' results stay
 *     bun run bench report           measures nothing, writes the report again
 *     bun run bench --quick          a few seconds each, printed and not written
 */
import { renderReport, writeReport } from './report.ts'
import { describeConditions, type Results, readResults, writeResults } from './results.ts'
import { type BesideOptions, measureBeside } from './sections/beside.ts'
import { type FootprintOptions, measureFootprint } from './sections/footprint.ts'
import { type IngestOptions, measureIngest } from './sections/ingest.ts'
import { measureReads, type ReadsOptions } from './sections/reads.ts'
import { measureRebuild, type RebuildOptions } from './sections/rebuild.ts'
import { measureTransparency, type TransparencyOptions } from './sections/transparency.ts'
import { type BenchServer, startBenchServer } from './server.ts'

type Options = {
  ingest: IngestOptions
  rebuild: RebuildOptions
  beside: BesideOptions
  reads: ReadsOptions
  footprint: FootprintOptions
  transparency: TransparencyOptions
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
}

const measure = {
  ingest: (server: BenchServer, options: Options) => measureIngest(server, options.ingest),
  rebuild: (server: BenchServer, options: Options) => measureRebuild(server, options.rebuild),
  beside: (server: BenchServer, options: Options) => measureBeside(server, options.beside),
  reads: (server: BenchServer, options: Options) => measureReads(server, options.reads),
  footprint: (server: BenchServer, options: Options) => measureFootprint(server, options.footprint),
  transparency: (server: BenchServer, options: Options) =>
    measureTransparency(server, options.transparency),
}
const NAMES = Object.keys(measure) as (keyof typeof measure)[]

async function main(args: string[]): Promise<void> {
  const quick = args.includes('--quick')
  const named = args.filter((arg) => arg !== '--quick')
  const unknown = named.filter((name) => name !== 'report' && !NAMES.includes(name as never))
  if (unknown.length > 0) throw new Error(`No section ${unknown.join(', ')}: ${NAMES.join(', ')}`)
  const sections = named.length === 0 ? NAMES : NAMES.filter((name) => named.includes(name))

  const results: Results = quick ? {} : await readResults()
  for (const section of sections) {
    // A server of its own: what one section leaves behind is no load for the next.
    const server = await startBenchServer()
    try {
      const conditions = describeConditions(await server.readSettings())
      const result = await measure[section](server, quick ? QUICK : FULL)
      Object.assign(results, { [section]: { conditions, result } })
    } finally {
      await server.stop()
    }
    if (!quick) await writeResults(results)
  }
  if (quick) console.log(renderReport(results))
  else await writeReport(results)
}

main(Bun.argv.slice(2)).catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
