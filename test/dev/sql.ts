/**
 * Runs a statement as the owner of a database and prints its rows. `bun run sql '<statement>'` uses
 * the database of `bun run dev`; `bun run sql --test '<statement>'` uses the server that is kept
 * for runs of named test files. `--database` names another database of that server.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { findRunningServer } from '../../src/platform/postgres/embedded/index.ts'
import { connectAsOwner, type ServerAddress } from '../../src/platform/postgres/pool.ts'
import { UserError } from '../../src/platform/user-error.ts'
import { CACHE } from '../runner/cache.ts'
import { ROOT } from '../runner/queue.ts'

const STATE = join(CACHE, 'server.json')

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { test: { type: 'boolean', default: false }, database: { type: 'string' } },
    allowPositionals: true,
  })
  const [statement, ...rest] = positionals
  if (statement === undefined || rest.length > 0) {
    throw new UserError("Usage: bun run sql [--test] [--database <name>] '<statement>'")
  }
  const address = values.test ? await findTestServer() : findDevServer()
  const database = values.database ? { database: values.database } : {}
  const owner = connectAsOwner({ ...address, ...database })
  try {
    const rows = await owner.unsafe(statement)
    if (rows.columns?.length) console.table([...rows])
    else console.log(`${rows.command} ${rows.count ?? ''}`.trim())
  } finally {
    await owner.end({ timeout: 5 })
  }
}

function findDevServer(): ServerAddress {
  const dataDir = process.env.TALLYBOOK_DATA_DIR ?? join(ROOT, '.tallybook-dev')
  const server = findRunningServer(dataDir)
  if (server !== null) return server
  throw new UserError(`No database is running in ${dataDir}. Start \`bun run dev\` first.`)
}

async function findTestServer(): Promise<ServerAddress> {
  try {
    return (JSON.parse(await readFile(STATE, 'utf8')) as { address: ServerAddress }).address
  } catch {
    throw new UserError(
      'No test server is running. Run a test file first, such as `bun run test test/log`.',
    )
  }
}

main().catch((error: unknown) => {
  const isExpected = error instanceof UserError || (error as Error).name === 'PostgresError'
  console.error(isExpected ? (error as Error).message : error)
  process.exit(1)
})
