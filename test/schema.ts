/** `--write` makes sql/schema.sql from a migrated database; `--check` fails if it differs. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../src/platform/postgres/embedded/index.ts'
import { migrate } from '../src/platform/postgres/migrate.ts'
import { connectAsOwner } from '../src/platform/postgres/pool.ts'
import { dumpSchema } from './support/schema.ts'

const FILE = join(import.meta.dir, '../sql/schema.sql')

async function main(mode: string | undefined): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-schema-'))
  // As root the server runs as another user, which must be able to enter.
  await chmod(folder, 0o711)
  const server = await startEmbeddedPostgres({ dataDir: join(folder, 'server'), log: () => {} })
  const owner = connectAsOwner(server.address)
  let schema: string
  try {
    await migrate(owner, 1)
    schema = await dumpSchema(owner)
  } finally {
    await owner.end({ timeout: 1 })
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
  if (mode === '--write') return writeFile(FILE, schema)
  if (schema === (await readFile(FILE, 'utf8').catch(() => ''))) return
  throw new Error('sql/schema.sql differs from what the migrations make. Run `bun run schema`.')
}

main(process.argv[2]).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
})
