/**
 * `bun run test:all` runs every file that uses the test server with one shard and with four, on the
 * embedded server and, if it is installed, on PostgreSQL 15. It uses random seeds and ten times as
 * many property runs, and includes the tests that cost too much for everyday runs. It takes about
 * an hour. The seed is printed first: `TALLYBOOK_TEST_SEED=<seed> bun run test:all` repeats the
 * run.
 */
import { join } from 'node:path'

const ROOT = join(import.meta.dir, '..')
const RUN = [process.execPath, '--no-orphans', 'test/run.ts', '--all']

/** The exit code of `.ci/postgres-15` if PostgreSQL 15 is not installed. */
const NOT_INSTALLED = 77

async function main(): Promise<void> {
  const seed = process.env.TALLYBOOK_TEST_SEED ?? String(Math.floor(Math.random() * 2 ** 31))
  console.log(`TALLYBOOK_TEST_SEED=${seed}`)
  const env = {
    ...process.env,
    TALLYBOOK_TEST_SEED: seed,
    TALLYBOOK_TEST_RUNS_FACTOR: process.env.TALLYBOOK_TEST_RUNS_FACTOR ?? '10',
    TALLYBOOK_TEST_FULL: '1',
    TALLYBOOK_TEST_EXTENDED: '1',
  }
  const run = async (title: string, command: string[]) => {
    console.log(`\n# ${title}`)
    const stdio: ['ignore', 'inherit', 'inherit'] = ['ignore', 'inherit', 'inherit']
    return Bun.spawn([...command, ...process.argv.slice(2)], { cwd: ROOT, env, stdio }).exited
  }
  const embedded = await run('The embedded PostgreSQL', RUN)
  const oldest = await run('PostgreSQL 15', ['.ci/postgres-15', ...RUN])
  if (oldest === NOT_INSTALLED) console.log('skipped: there is no PostgreSQL 15 on this machine')
  process.exit(embedded !== 0 || ![0, NOT_INSTALLED].includes(oldest) ? 1 : 0)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
