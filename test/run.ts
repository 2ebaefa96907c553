/**
 * Runs the tests on a real PostgreSQL: `bun run test [options] [files]`. A file is named by any
 * part of its path. runner/matrix.ts defines with how many shards each file runs. A run without
 * files starts a server of its own; a run with files uses one that keeps running for the next run.
 * The last line is `N passed, N failed`.
 *
 *     --shards N    only files that use the test server, with N shards
 *     --server      only files whose behavior varies with the version of PostgreSQL
 *     --all         every file that uses the test server, with one shard and with four
 *     --extended    only what a run without files leaves out: it takes long, or needs other programs
 *     --workers N   how many files run at once
 *     --bail        stop at the first failure
 *     --update-snapshots   write snapshots instead of comparing with them
 *     --inspect     run one file after a debugger connects to the printed address
 *     --keep        use the kept server
 *     --watch       use the kept server, and run again after every change
 *
 * TEST_DATABASE_URL names another server to use.
 */
import { parseArgs } from 'node:util'
import type { Sharing } from './runner/batches.ts'
import { makeTemplates, removeTemplates } from './runner/databases.ts'
import type { Counts } from './runner/junit.ts'
import { useKeptServer } from './runner/kept-server.ts'
import { isLeftOut, isLong, usesTestServer, variationOf } from './runner/matrix.ts'
import { compileProgram } from './runner/program.ts'
import { findTests, type Run, report, runAll } from './runner/queue.ts'
import { startTestServer, type TestServer, useExternalServer } from './runner/server.ts'
import { watch } from './runner/watch.ts'

/** Most tests wait for a database, a process or a timer, so more run at once than cores exist. */
const WORKERS = Math.max(4, navigator.hardwareConcurrency)

/** Up to this many files, all of their output is printed. */
const VERBOSE_RUNS = 2

/** Up to this many files, processes run the program from its source. */
const SOURCE_RUNS = 10

/** Where a debugger connects: Bun's own port, and a path that is the same in every run. */
const INSPECTOR = '127.0.0.1:6499/test'

function readOptions() {
  const { values, positionals } = parseArgs({
    options: {
      shards: { type: 'string' },
      server: { type: 'boolean', default: false },
      all: { type: 'boolean', default: false },
      extended: { type: 'boolean', default: false },
      workers: { type: 'string', default: String(WORKERS) },
      bail: { type: 'boolean', default: false },
      'update-snapshots': { type: 'boolean', default: false },
      inspect: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      watch: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  })
  return {
    ...values,
    shards: values.shards === undefined ? null : Number(values.shards),
    workers: Number(values.workers),
    files: positionals,
  }
}

type Options = ReturnType<typeof readOptions>

async function main(): Promise<void> {
  const options = readOptions()
  if (options.files.length > 0 || options.extended) process.env.TALLYBOOK_TEST_EXTENDED ??= '1'
  if (options.watch) await watch(process.argv.slice(2))
  const server = await openServer(options)
  let counts: Counts
  try {
    process.env.TALLYBOOK_TEST_SERVER = JSON.stringify(server.address)
    process.env.TALLYBOOK_TEST_FOLDER = server.folder
    // Temporary files of tests are removed together with the server.
    process.env.TMPDIR = server.folder
    counts = await run(options, server, await findTests(options.files))
  } finally {
    await server.stop()
  }
  report(counts)
}

function openServer({ files, keep }: Options): Promise<TestServer> {
  const external = process.env.TEST_DATABASE_URL
  if (external) return useExternalServer(external)
  return files.length > 0 || keep ? useKeptServer() : startTestServer()
}

async function run(options: Options, server: TestServer, files: string[]): Promise<Counts> {
  const hasLong = process.env.TALLYBOOK_TEST_EXTENDED === '1'
  const runs = files
    .filter((file) => (options.extended ? isLeftOut(file) : hasLong || !isLong(file)))
    .flatMap((file) => shardsOf(file, options).map((shards): Run => ({ file, shards })))
  // Some tests create databases with one shard, whatever number they run with.
  const shards = new Set([1, ...runs.map((run) => run.shards)])
  await makeTemplates(shards)
  try {
    const { workers, bail, 'update-snapshots': updateSnapshots } = options
    const verbose = runs.length <= VERBOSE_RUNS
    const { folder } = server
    const inspect = options.inspect ? INSPECTOR : null
    if (inspect !== null) announceInspector(runs)
    if (runs.length > SOURCE_RUNS) {
      process.env.TALLYBOOK_TEST_PROGRAM ??= await compileProgram(folder)
    }
    const running = {
      workers,
      bail,
      verbose,
      updateSnapshots,
      folder,
      sharing: sharingOf(options),
      inspect,
    }
    return await runAll(runs, running)
  } finally {
    if ('url' in server.address) await removeTemplates(shards)
  }
}

function announceInspector(runs: readonly Run[]): void {
  if (runs.length !== 1) {
    const names = runs.map(({ file, shards }) => `  ${file} --shards ${shards}`).join('\n')
    throw new Error(`--inspect runs one file with one number of shards, not:\n${names}`)
  }
  console.log(`Waiting for a debugger at ws://${INSPECTOR} (https://debug.bun.sh/#${INSPECTOR})`)
}

/** If files are named, someone waits for the result. With `--all`, no file may need another. */
function sharingOf({ files, keep, all }: Options): Sharing {
  if (files.length > 0 || keep) return 'any'
  return all ? 'none' : 'short'
}

/** The numbers of shards that a file runs with. */
function shardsOf(file: string, { shards, server, all }: Options): readonly number[] {
  const variation = variationOf(file)
  if (server && !variation.server) return []
  if (shards !== null) return usesTestServer(file) ? [shards] : []
  if (all && usesTestServer(file) && !variation.only) return [1, 4]
  return variation.shards ?? [1]
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
