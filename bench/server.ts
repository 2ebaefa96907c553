import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../src/platform/postgres/embedded/index.ts'
import { connectAsOwner, type ServerAddress, type Sql } from '../src/platform/postgres/pool.ts'

/** Address of a database; `host` is the server's socket directory. */
export type Address = Extract<ServerAddress, { host: string }>

/** The embedded PostgreSQL server of a section, with the settings of the service. */
export type BenchServer = {
  /** The process id of the server, whose children are its sessions. */
  pid: number
  /** Creates an empty database. */
  createDatabase(name: string): Promise<Address>
  dropDatabase(name: string): Promise<void>
  /** Reads the settings of durability and memory for the report. */
  readSettings(): Promise<Record<string, string>>
  stop(): Promise<void>
}

const SETTINGS = [
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'wal_sync_method',
  'shared_buffers',
  'max_wal_size',
]

/** Starts a server with settings in addition to those of the service. */
export async function startBenchServer(
  settings: Record<string, string> = {},
): Promise<BenchServer> {
  const folder = await mkdtemp(join(tmpdir(), 'tallybook-bench-'))
  // Started by root, the server runs as another user, which must be able to enter.
  await chmod(folder, 0o711)
  const server = await startTuned(folder, settings)
  const { host, port, user } = server.address
  const maintenance: Sql = connectAsOwner({ host, port, user, database: 'postgres' })
  // The first line of the lock of its socket.
  const lock = await readFile(join(host, `.s.PGSQL.${port}.lock`), 'utf8')
  return {
    pid: Number.parseInt(lock, 10),
    createDatabase: async (name) => {
      await maintenance.unsafe(`create database ${name} template template0`)
      return { host, port, user, database: name }
    },
    dropDatabase: async (name) => {
      await maintenance.unsafe(`drop database ${name} with (force)`)
    },
    readSettings: async () => {
      const rows = await maintenance<{ name: string; value: string }[]>`
        select name, current_setting(name) as value from pg_settings where name in ${maintenance(SETTINGS)}`
      return Object.fromEntries(rows.map(({ name, value }) => [name, value]))
    },
    stop: async () => {
      await maintenance.end({ timeout: 1 })
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Sets them with ALTER SYSTEM, as an operator does, and restarts: some need a restart. */
async function startTuned(dataDir: string, settings: Record<string, string>) {
  const first = await startEmbeddedPostgres({ dataDir, log: () => {} })
  if (Object.keys(settings).length === 0) return first
  const { host, port, user } = first.address
  const owner = connectAsOwner({ host, port, user, database: 'postgres' })
  for (const [name, value] of Object.entries(settings)) {
    await owner.unsafe(`alter system set ${name} = '${value}'`)
  }
  await owner.end({ timeout: 1 })
  await first.stop()
  return startEmbeddedPostgres({ dataDir, log: () => {} })
}
