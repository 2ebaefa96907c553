import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Glob } from 'bun'
import { alone, type Batch, together } from './batches.ts'
import { add, type Counts, type FileResult, NONE, readReport } from './junit.ts'
import { Timings } from './timings.ts'

export const ROOT = join(import.meta.dir, '../..')

/** A test file, run with a number of shards. */
export type Run = { file: string; shards: number }

export type QueueOptions = {
  /** How many test processes run at once. */
  workers: number
  /** Several files in a process: the sooner done, but what one leaves behind the next one meets. */
  together?: boolean
  /** Where reports are written. */
  folder: string
  /** Only tests whose name this pattern finds. */
  names?: RegExp
  /** After the first failure, start nothing more and end what runs. */
  bail: boolean
  /** Print what a file prints even if it passes. */
  verbose: boolean
  /** Write snapshots instead of comparing with them. */
  updateSnapshots?: boolean
  /** Wait for a debugger at this address, and then for as long as it takes. */
  inspect?: string | null
  env?: Record<string, string>
}

/** Milliseconds: a test, or a file, that takes longer has hung. */
const TEST_TIMEOUT_MS = 120_000
const FILE_TIMEOUT_MS = 900_000
const DEBUG_TIMEOUT_MS = 24 * 3_600_000

/** How many of the slowest files are named at the end. */
const SLOWEST = 10

/** The test files with one of `wanted` in their path; all of them if nothing is wanted. */
export async function findTests(wanted: readonly string[]): Promise<string[]> {
  const files = await Array.fromAsync(new Glob('test/**/*.test.ts').scan(ROOT))
  const chosen = files.filter((file) => wanted.length === 0 || wanted.some((w) => file.includes(w)))
  if (chosen.length === 0) throw new Error(`No test file matches ${wanted.join(' ')}.`)
  return chosen.sort()
}

/**
 * Runs the files in processes, several at once, the longest first. `bun test --parallel` does as
 * much for one set of files; but here a file may be due with several numbers of shards, which is an
 * environment variable, and one queue for all of them leaves no worker idle until the end.
 */
export async function runAll(runs: readonly Run[], options: QueueOptions): Promise<Counts> {
  const timings = await Timings.load()
  const msOf = (run: Run) => timings.of(run)
  const queue = options.together ? together(runs, msOf) : alone(runs, msOf)
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
        ...process.env,
        // Otherwise a snapshot that is missing would be written, and the test pass.
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
    // Of a file alone the start of its process counts as well.
    const own = files.length === 1 ? ms : result.ms
    return { ...result, ms: own, counts: { ...result.counts, failures } }
  })
  return { results, output: stdout + stderr }
}

/** `12/240 test/log/append.db.test.ts, 4 shards: 4 passed in 1.3 s`. */
function describe({ file, shards }: Run, { counts, ms }: FileResult, place: string): string {
  const results = [
    `${counts.passed} passed`,
    ...(counts.failed > 0 ? [`${counts.failed} FAILED`] : []),
    ...(counts.skipped > 0 ? [`${counts.skipped} skipped`] : []),
  ]
  const name = shards === 1 ? file : `${file}, ${shards} shards`
  return `${place} ${name}: ${results.join(', ')} in ${(ms / 1_000).toFixed(1)} s`
}

/** What a file says of tests that it left out. */
function printSkips(output: string): void {
  for (const line of output.split('\n')) if (line.startsWith('skipped:')) console.log(line)
}

/** Prints what failed and the closing line, and ends the process with the code that says the same. */
export function report({ passed, failed, skipped, failures }: Counts): never {
  // Once more where somebody who looks at the end of a long output finds them.
  for (const failure of failures) console.log(`failed: ${failure}`)
  console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exit(failed > 0 || passed === 0 ? 1 : 0)
}
