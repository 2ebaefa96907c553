import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded/index.ts'
import { connectAsOwner, type ServerAddress } from '../../src/platform/postgres/pool.ts'
import { chooseFolder } from './place.ts'

/** A server for the tests, which they may change as they like. */
export type TestServer = {
  address: ServerAddress
  /** A temporary folder that every user may enter and only its owner may list. */
  folder: string
  stop(): Promise<void>
}

/**
 * Settings of the test server. It is thrown away, so nothing has to reach the disk: cloning a
 * database takes 30 ms without fsync and 400 ms with it. Databases live for seconds, so nothing has
 * to be vacuumed: autovacuum took 14 % of all processor time. Several test files at once, each with
 * a service or two, need more connections than one service.
 */
const SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: '600',
  autovacuum: 'off',
  bgwriter_lru_maxpages: '0',
  // The data directory may be in memory.
  max_wal_size: "'512MB'",
}

/** Creates and starts an embedded server in a temporary folder. */
export async function startTestServer(): Promise<TestServer> {
  const folder = await makeFolder()
  try {
    const options = { dataDir: join(folder, 'server'), log: () => {} }
    const first = await startEmbeddedPostgres(options)
    const owner = connectAsOwner(first.address)
    for (const [name, value] of Object.entries(SETTINGS)) {
      await owner.unsafe(`alter system set ${name} = ${value}`)
    }
    await owner.end()
    // Some settings need a restart.
    await first.stop()
    const server = await startEmbeddedPostgres(options)
    return {
      address: server.address,
      folder,
      stop: async () => {
        await server.stop()
        await rm(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** Uses a server that already runs (TEST_DATABASE_URL); `stop` leaves it running. */
export async function useExternalServer(url: string): Promise<TestServer> {
  const folder = await makeFolder()
  return {
    address: { url },
    folder,
    stop: () => rm(folder, { recursive: true, force: true }),
  }
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(await chooseFolder(), 'tallybook-test-'))
  // As root an embedded server runs as another user, which must be able to enter.
  await chmod(folder, 0o711)
  return folder
}
