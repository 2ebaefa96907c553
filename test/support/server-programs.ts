import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { targetAt } from '../../src/platform/postgres/connection/target.ts'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import type { TestDatabase } from './server.ts'

/** Where Debian's and PostgreSQL's own packages install the programs of a version. */
const FOLDERS = ['/usr/lib/postgresql/<version>/bin', '/usr/pgsql-<version>/bin']

/** Returns the folder of the client programs of this server's version, or null if not installed. */
export async function findClientPrograms({ owner }: TestDatabase): Promise<string | null> {
  const [row] = await owner<{ version: number }[]>`
    select current_setting('server_version_num')::integer / 10000 as version`
  const folders = FOLDERS.map((folder) => folder.replace('<version>', `${row!.version}`))
  return folders.find((folder) => existsSync(join(folder, 'pg_dump'))) ?? null
}

/** Runs a client program on a database; throws with its errors unless it exits with 0. */
export async function runClientProgram(
  command: string[],
  address: ServerAddress & { database?: string },
): Promise<void> {
  const { endpoints, user, password, database } = targetAt(address)
  const endpoint = endpoints[0]!
  const child = Bun.spawn(command, {
    env: {
      PGHOST: 'directory' in endpoint ? endpoint.directory : endpoint.address,
      PGPORT: `${endpoint.port}`,
      PGUSER: user,
      PGPASSWORD: password,
      PGDATABASE: database,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const [code, errors] = await Promise.all([child.exited, child.stderr.text()])
  if (code !== 0) throw new Error(`${command[0]} ended with ${code}: ${errors}`)
}
