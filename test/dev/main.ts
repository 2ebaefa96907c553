/**
 * Runs the service for development: `bun run dev [--inspect…]`. It uses an embedded database with
 * seed data in `.tallybook-dev` and fixed tokens, and restarts after every change of src or sql.
 *
 * This process owns the database, so that other connections to it outlive a restart. The service is
 * a child process. Restarting it takes 0.64 s, restarting both would take 0.81 s. Rejected:
 * `bun --watch` on the service (0.85 to 1.2 s). It leaves the embedded server running, which the
 * next start then has to stop, and it does not notice changes of sql or of the console's page.
 *
 * TALLYBOOK_PORT, TALLYBOOK_SHARDS and most other variables work as with `bun run start`.
 * The tokens are public, so the service listens on 127.0.0.1 only.
 */
import { join } from 'node:path'
import { ROLES, TOKEN_VARIABLES } from '../../src/auth/roles.ts'
import { launcherEnded } from '../../src/cli/launcher.ts'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/platform/postgres/embedded/index.ts'
import { migrate } from '../../src/platform/postgres/migrate.ts'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { UserError } from '../../src/platform/user-error.ts'
import { readConfig } from '../../src/service/config.ts'
import { ROOT } from '../runner/queue.ts'
import { watchFolders } from '../runner/watch.ts'
import { seed } from './seed.ts'

const DATA_DIR = '.tallybook-dev'

/** Milliseconds to wait for a stop: it takes up to seven seconds unless a debugger pauses it. */
const STOP_MS = 8_000

async function main(): Promise<void> {
  const debugging = process.argv.slice(2)
  if (!debugging.every((arg) => arg.startsWith('--inspect'))) {
    throw new UserError('Usage: bun run dev [--inspect | --inspect-wait | --inspect-brk][=address]')
  }
  const stopping = Promise.race([stopOnSignal(), launcherEnded()])
  const env = makeEnvironment()
  const { dataDir, shards } = readConfig(env)
  const database = await startEmbeddedPostgres({ dataDir, log: () => {} })
  try {
    await prepare(database, shards)
    describe(env, database)
    await keepRunning(debugging, { ...env, DATABASE_URL: urlOf(database) }, [
      stopping,
      endOf(database),
    ])
  } finally {
    await database.stop()
  }
  process.exit(0)
}

/** The environment of the service, without its database, which is always that of this process. */
function makeEnvironment(): Record<string, string | undefined> {
  const tokens = ROLES.map((role) => [TOKEN_VARIABLES[role], `dev-${role}-token`])
  return {
    TALLYBOOK_DATA_DIR: join(ROOT, DATA_DIR),
    ...process.env,
    ...Object.fromEntries(tokens),
    TALLYBOOK_HOST: '127.0.0.1',
    DATABASE_URL: undefined,
    DATABASE_READ_URL: undefined,
  }
}

async function prepare(database: EmbeddedPostgres, shards: number): Promise<void> {
  const owner = connectAsOwner(database.address)
  try {
    await migrate(owner, shards)
    const events = await seed(owner)
    if (events !== null) console.log(`Filled the empty log with ${events} events of one week`)
  } finally {
    await owner.end({ timeout: 5 })
  }
}

function describe(
  env: Record<string, string | undefined>,
  { address: { host, user, database } }: EmbeddedPostgres,
) {
  console.log(`Data directory: ${env.TALLYBOOK_DATA_DIR} (remove it to start with fresh data)`)
  for (const role of ROLES) console.log(`Token of ${role}: ${env[TOKEN_VARIABLES[role]]}`)
  console.log(`Database: psql -h ${host} -U ${user} ${database}`)
}

const urlOf = ({ address: { host, port, user, database } }: EmbeddedPostgres) =>
  `postgresql://${user}@/${database}?host=${encodeURIComponent(host)}&port=${port}`

/** Runs the service and restarts it after every change, until one of `ends` settles. */
async function keepRunning(
  debugging: string[],
  env: Record<string, string | undefined>,
  ends: Promise<unknown>[],
): Promise<void> {
  const command = [
    ...[process.execPath, '--no-orphans', ...debugging],
    ...[join(ROOT, 'src/main.ts'), 'serve'],
  ]
  let hasEnded = false
  const end = Promise.race(ends).finally(() => {
    hasEnded = true
  })
  let notice = () => {}
  watchFolders(['src', 'sql'], () => notice())
  while (!hasEnded) {
    const changed = new Promise<void>((resolve) => {
      notice = resolve
    })
    const service = Bun.spawn(command, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] })
    try {
      await Promise.race([end, changed, service.exited])
      if (service.exitCode !== null && !hasEnded) console.log('Waiting for a change.')
      await Promise.race([end, changed])
    } finally {
      await stop(service)
    }
  }
}

async function stop(service: Bun.Subprocess): Promise<void> {
  service.kill('SIGTERM')
  const timer = setTimeout(() => service.kill('SIGKILL'), STOP_MS)
  await service.exited
  clearTimeout(timer)
}

/** Resolves on a signal. Ctrl-C also reaches the service, which then stops by itself. */
function stopOnSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => resolve())
    }
  })
}

/** Rejects when the embedded server ends by itself. */
async function endOf(database: EmbeddedPostgres): Promise<never> {
  const code = await database.exited
  throw new UserError(`The embedded PostgreSQL ended by itself (exit code ${code}).`)
}

main().catch((error: unknown) => {
  console.error(error instanceof UserError ? error.message : error)
  process.exit(1)
})
