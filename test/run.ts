/**
 * Runs the tests on a real PostgreSQL: the embedded one in a temporary directory, or the server of
 * TEST_DATABASE_URL. `bun run test [files]`. Everything runs with one shard, and what needs a database
 * once more with four. Ends with `N passed, N failed`.
 */
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Glob } from 'bun'
import { startEmbeddedPostgres } from '../src/db/embedded/index.ts'
import { connectAsOwner, type ServerAddress } from '../src/db/pool.ts'
import { createTemplate } from './support/server.ts'

type Counts = { passed: number; failed: number; skipped: number }

const ROOT = join(import.meta.dir, '..')

/** Milliseconds: a test that takes longer has hung. */
const TEST_TIMEOUT_MS = 120_000

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-test-'))
  // As root the server runs as another user, who must be able to enter.
  await chmod(folder, 0o711)
  const external = process.env.TEST_DATABASE_URL
  const embedded = external
    ? null
    : await startEmbeddedPostgres({ dataDir: join(folder, 'server'), log: () => {} })
  process.env.TALLYBOOK_TEST_SERVER = JSON.stringify(embedded ?? { url: external })
  // Thrown away after the run: cloning a database takes 30 ms without fsync, 400 ms with.
  if (embedded) await turnOffFsync(embedded)
  let counts: Counts = { passed: 0, failed: 0, skipped: 0 }
  try {
    const files = await findTests(process.argv.slice(2))
    for (const shards of [1, 4]) {
      const chosen = shards === 1 ? files : files.filter((file) => needsShards(file))
      if (chosen.length === 0) continue
      console.log(`\n# ${shards} shard(s), ${chosen.length} files`)
      await createTemplate(shards)
      counts = add(counts, await runFiles(chosen, shards, join(folder, `junit-${shards}.xml`)))
    }
  } finally {
    await embedded?.stop()
    await rm(folder, { recursive: true, force: true })
  }
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
  console.log(`\n${counts.passed} passed, ${counts.failed} failed${skipped}`)
  process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0)
}

async function turnOffFsync(address: ServerAddress): Promise<void> {
  const owner = connectAsOwner(address)
  await owner`alter system set fsync = off`
  await owner`select pg_reload_conf()`
  await owner.end()
}

/** Tests of the embedded server and of the command line bring a database of their own. */
const needsShards = (file: string) =>
  file.endsWith('.db.test.ts') && !/^test\/(db\/embedded|cli|faults)/.test(file)

async function findTests(wanted: string[]): Promise<string[]> {
  const files = await Array.fromAsync(new Glob('test/**/*.test.ts').scan(ROOT))
  const chosen = files.filter((file) => wanted.length === 0 || wanted.some((w) => file.includes(w)))
  if (chosen.length === 0) throw new Error(`No test file matches ${wanted.join(' ')}.`)
  return chosen.sort()
}

async function runFiles(files: string[], shards: number, report: string): Promise<Counts> {
  const tests = Bun.spawn(
    [
      process.execPath,
      'test',
      `--timeout=${TEST_TIMEOUT_MS}`,
      '--reporter=junit',
      `--reporter-outfile=${report}`,
      ...files.map((file) => `./${file}`),
    ],
    {
      cwd: ROOT,
      env: { ...process.env, TALLYBOOK_TEST_SHARDS: String(shards) },
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  )
  const exitCode = await tests.exited
  // No report: the runner was ended from inside. That fails, whatever its exit code says.
  const xml = await readFile(report, 'utf8').catch(() => '')
  const counts = readCounts(xml)
  const missing = files.filter((file) => !xml.includes(file))
  for (const file of missing) console.error(`${file} ran no test`)
  if (missing.length > 0 || (exitCode !== 0 && counts.failed === 0)) {
    counts.failed += Math.max(missing.length, 1)
  }
  return counts
}

/** From `<testsuites … tests="8" … failures="0" skipped="0" …>`, the file's first such element. */
function readCounts(xml: string): Counts {
  const suites = /<testsuites [^>]*>/.exec(xml)?.[0] ?? ''
  const number = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suites)?.[1] ?? 0)
  const failed = number('failures') + number('errors')
  const skipped = number('skipped')
  return { passed: number('tests') - failed - skipped, failed, skipped }
}

const add = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
})

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
