/**
 * Measures which statements and branches of src the tests run, in the test processes and in those
 * that they start: `bun run coverage [--out FILE] [--against FILE] [arguments of the tests]`. It
 * runs the tests, prints a table of the folders of src, and writes what did and didn't run to
 * --out (coverage.json). --against compares with such a file of another run. The exit code is that
 * of the tests.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { instrument, ROOT } from './instrument.ts'
import { listLost, type Result, readResult, toTable } from './report.ts'

const args = Bun.argv.slice(2)
const out = takeOption('--out') ?? join(ROOT, 'coverage.json')
const against = takeOption('--against')
const earlier: Result = against === undefined ? {} : JSON.parse(readFileSync(against, 'utf8'))

const folder = mkdtempSync(join(tmpdir(), 'tallybook-coverage-'))
try {
  const layout = instrument(folder)
  const tests = Bun.spawn([process.execPath, '--no-orphans', 'test/run.ts', ...args], {
    cwd: ROOT,
    env: {
      TALLYBOOK_TEST_EXTENDED: '1',
      ...process.env,
      BUN_OPTIONS: `${process.env.BUN_OPTIONS ?? ''} --preload=${join(import.meta.dir, 'preload.ts')}`,
      COVERAGE_FOLDER: folder,
      // What is compiled is not instrumented.
      TALLYBOOK_TEST_PROGRAM: join(ROOT, 'src/main.ts'),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  process.exitCode = await tests.exited
  const result = readResult(folder, layout)
  writeFileSync(out, JSON.stringify(result, null, 1))
  for (const [shards, measured] of Object.entries(result)) {
    console.log(`\n# coverage: ${shards === 'all' ? 'all runs' : `with ${shards} shard(s)`}`)
    console.log(toTable(measured, earlier[shards]))
    const lost = earlier[shards] === undefined ? [] : listLost(measured, earlier[shards])
    for (const line of lost) console.log(`no longer runs: ${line}`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Removes an option and its value from the arguments; the rest is passed to the tests. */
function takeOption(name: string): string | undefined {
  const at = args.indexOf(name)
  return at < 0 ? undefined : args.splice(at, 2)[1]
}
