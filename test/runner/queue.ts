import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Glob } from 'bun'
import { type Batch, makeBatches, type Sharing } from './batches.ts'
import { add, type Counts, type FileResult, NONE, readReport } from './junit.ts'
import { Timings } from './timings.ts'

export const ROOT = join(import.meta.dir, '../..')

/** One run of a test file with a number of shards. */
export type Run = { file: string; shards: number }

export type QueueOptions = {
  /** How many test processes run at once. */
  workers: number
  /**
   * Which files may share a process, `none` by default. That is faster, but a file sees what the ones
   * before it left behind.
   */
  sharing?: Sharing
  /** The folder for reports. */
  folder: string
  /** Run only tests whose name matches. */
  names?: RegExp
  /** After the first failure, kill running processes and start no others. */
  bail: boolean
  /** Print a file's output even if it passes. */
  verbose: boolean
  /** Write snapshots instead of comparing with them. */
  updateSnapshots?: boolean
  /** Wait for a debugger at this address, and don't limit the time of tests. */
  inspect?: string | null
  env?: Record<string, string>
}

/** Milliseconds after which a test, or a file, counts as hung. */
const TEST_TIMEOUT_MS = 120_000
const FILE_TIMEOUT_MS = 900_000 * Number(process.env.TALLYBOOK_TEST_RUNS_FACTOR || 1)
const DEBUG_TIMEOUT_MS = 24 * 3_600_000

/**
 * Settings of Bun for processes that live for seconds. Compiling more code with the slowest compiler,
 * collecting garbage in several threads and giving memory back took 15 % of all processor time.
 */
const SHORT_LIVED = {
  BUN_JSC_useFTLJIT: '0',
  BUN_JSC_useConcurrentGC: '0',
  BUN_JSC_numberOfGCMarkers: '1',
  MIMALLOC_PURGE_DELAY: '-1',
}

/** The number of slowest files to list at the end. */
const SLOWEST = 10

/** Returns the test files whose path contains one of `paths`, or all files if `paths` is empty. */
export async function findTests(paths: readonly string[]): Promise<string[]> {
  const files = await Array.fromAsync(new Glob('test/**/*.test.ts').scan(ROOT))
  const chosen = files.filter((file) => paths.length === 0 || paths.some((w) => file.includes(w)))
  if (chosen.length === 0) throw new Error(`No test file matches ${paths.join(' ')}.`)
  return chosen.sort()
}

/**
 * Runs the files in processes, several at once, the longest first. `bun test --parallel` could do
 * this for one set of files. But the number of shards is an environment variable and a file may run
 * with several numbers; one queue for all of them leaves no worker idle until the end.
 */
export async function runAll(runs: readonly Run[], options: QueueOptions): Promise<Counts> {
  const timings = await Timings.load()
  const msOf = (run: Run) => timings.of(run)
  const queue = makeBatches(runs, msOf, options.sharing ?? 'none')
  const running = new Set<Bun.Subprocess>()
  let counts = NONE
  let done = 0
  const work = async () => {
    for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
      const { results, output } = await runBatch(batch, options, running)
      if (options.bail && counts.failed > 0) return
      for (const result of results) {
        const run = { file: result.file, shards: batch.shards }
        counts = add(counts, result.counts)
        timings.note(run, result.ms)
        console.log(describe(run, result, `${++done}/${runs.length}`))
      }
      const hasFailed = results.some((result) => result.counts.failed > 0)
      if (options.verbose || hasFailed) console.log(output)
      else printSkips(output)
      if (options.bail && counts.failed > 0) {
        queue.length = 0
        for (const child of running) child.kill('SIGKILL')
      }
    }
  }
  await Promise.all(Array.from({ length: options.workers }, work))
  await timings.save()
  if (runs.length > SLOWEST) {
    console.log(`\nThe slowest of ${runs.length}:`)
    for (const line of timings.slowest(runs, SLOWEST)) console.log(line)
  }
  return counts
}

async function runBatch(
  { files, shards }: Batch,
  { folder, names, bail, updateSnapshots = false, inspect = null, env }: QueueOptions,
  running: Set<Bun.Subprocess>,
): Promise<{ results: FileResult[]; output: string }> {
  const report = join(folder, `${files[0]!.replaceAll('/', '-')}-${shards}.xml`)
  const started = performance.now()
  const child = Bun.spawn(
    [
      process.execPath,
      'test',
      ...(inspect === null ? [] : [`--inspect-wait=${inspect}`]),
      `--timeout=${inspect === null ? TEST_TIMEOUT_MS : DEBUG_TIMEOUT_MS}`,
      '--reporter=junit',
      `--reporter-outfile=${report}`,
      ...(bail ? ['--bail'] : []),
      ...(updateSnapshots ? ['--update-snapshots'] : []),
      ...(names === undefined ? [] : ['--test-name-pattern', names.source]),
      ...files.map((file) => `./${file}`),
    ],
    {
      cwd: ROOT,
      env: {
        ...SHORT_LIVED,
        ...process.env,
        // Without CI=true a missing snapshot would be written and the test would pass.
        ...(updateSnapshots ? {} : { CI: 'true' }),
        ...env,
        TALLYBOOK_TEST_SHARDS: String(shards),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: inspect === null ? FILE_TIMEOUT_MS : DEBUG_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    },
  )
  running.add(child)
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ])
  running.delete(child)
  const ms = performance.now() - started
  const xml = await readFile(report, 'utf8').catch(() => '')
  const results = readReport(xml, files, exitCode).map((result) => {
    const failures = result.counts.failures.map((failure) => `${shards} shard(s), ${failure}`)
    // For a file alone, the time includes the start of its process.
    const own = files.length === 1 ? ms : result.ms
    return { ...result, ms: own, counts: { ...result.counts, failures } }
  })
  return { results, output: stdout + stderr }
}

/** Formats `12/240 test/log/append.db.test.ts, 4 shards: 4 passed in 1.3 s`. */
function describe({ file, shards }: Run, { counts, ms }: FileResult, progress: string): string {
  const results = [
    `${counts.passed} passed`,
    ...(counts.failed > 0 ? [`${counts.failed} FAILED`] : []),
    ...(counts.skipped > 0 ? [`${counts.skipped} skipped`] : []),
  ]
  const name = shards === 1 ? file : `${file}, ${shards} shards`
  return `${progress} ${name}: ${results.join(', ')} in ${(ms / 1_000).toFixed(1)} s`
}

/** Prints the lines in which a file reports skipped tests. */
function printSkips(output: string): void {
  for (const line of output.split('\n')) if (line.startsWith('skipped:')) console.log(line)
}

/** Prints the failures and the totals, and exits with 0 if all tests passed, else with 1. */
export function report({ passed, failed, skipped, failures }: Counts): never {
  // Repeated here so that they are found at the end of a long output.
  for (const failure of failures) console.log(`failed: ${failure}`)
  console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exit(failed > 0 || passed === 0 ? 1 : 0)
}
