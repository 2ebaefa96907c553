import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Glob } from 'bun'
import { add, type Counts, NONE, readReport } from './junit.ts'
import { Timings } from './timings.ts'

export const ROOT = join(import.meta.dir, '../..')

/** A test file, run with a number of shards. */
export type Run = { file: string; shards: number }

export type QueueOptions = {
  /** How many test processes run at once. */
  workers: number
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
  env?: Record<string, string>
}

/** Milliseconds: a test, or a file, that takes longer has hung. */
const TEST_TIMEOUT_MS = 120_000
const FILE_TIMEOUT_MS = 900_000

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
 * Runs each file in a process of its own, several at once, the longest first. `bun test --parallel`
 * does as much for one set of files; but here a file may be due with several numbers of shards,
 * which is an environment variable, and one queue for all of them leaves no worker idle until the
 * end.
 */
export async function runAll(runs: readonly Run[], options: QueueOptions): Promise<Counts> {
  const timings = await Timings.load()
  const queue = [...runs].sort((a, b) => timings.of(b) - timings.of(a))
  const running = new Set<Bun.Subprocess>()
  let counts = NONE
  let done = 0
  const work = async () => {
    for (let run = queue.shift(); run !== undefined; run = queue.shift()) {
      const outcome = await runFile(run, options, running)
      if (options.bail && counts.failed > 0) return
      counts = add(counts, outcome.counts)
      timings.note(run, outcome.ms)
      console.log(describe(run, outcome, `${++done}/${runs.length}`, options.verbose))
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

type Outcome = { counts: Counts; ms: number; output: string }

async function runFile(
  { file, shards }: Run,
  { folder, names, bail, updateSnapshots = false, env }: QueueOptions,
  running: Set<Bun.Subprocess>,
): Promise<Outcome> {
  const report = join(folder, `${file.replaceAll('/', '-')}-${shards}.xml`)
  const started = performance.now()
  const child = Bun.spawn(
    [
      process.execPath,
      'test',
      `--timeout=${TEST_TIMEOUT_MS}`,
      '--reporter=junit',
      `--reporter-outfile=${report}`,
      ...(bail ? ['--bail'] : []),
      ...(updateSnapshots ? ['--update-snapshots'] : []),
      ...(names === undefined ? [] : ['--test-name-pattern', names.source]),
      `./${file}`,
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
      timeout: FILE_TIMEOUT_MS,
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
  const counts = readReport(xml, file, exitCode)
  const failures = counts.failures.map((failure) => `${shards} shard(s), ${failure}`)
  return { counts: { ...counts, failures }, ms, output: stdout + stderr }
}

/** `12/240 test/log/append.db.test.ts, 4 shards: 4 passed in 1.3 s`, with what is worth reading. */
function describe({ file, shards }: Run, outcome: Outcome, place: string, verbose: boolean) {
  const { counts, ms, output } = outcome
  const results = [
    `${counts.passed} passed`,
    ...(counts.failed > 0 ? [`${counts.failed} FAILED`] : []),
    ...(counts.skipped > 0 ? [`${counts.skipped} skipped`] : []),
  ]
  const name = shards === 1 ? file : `${file}, ${shards} shards`
  const line = `${place} ${name}: ${results.join(', ')} in ${(ms / 1_000).toFixed(1)} s`
  if (verbose || counts.failed > 0) return `${output}\n${line}`
  const skips = output.split('\n').filter((text) => text.startsWith('skipped:'))
  return [...skips, line].join('\n')
}

/** Prints what failed and the closing line, and ends the process with the code that says the same. */
export function report({ passed, failed, skipped, failures }: Counts): never {
  // Once more where somebody who looks at the end of a long output finds them.
  for (const failure of failures) console.log(`failed: ${failure}`)
  console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exit(failed > 0 || passed === 0 ? 1 : 0)
}
