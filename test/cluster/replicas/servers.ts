import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../src/platform/postgres/embedded/index.ts'
import { migrate } from '../../../src/platform/postgres/migrate.ts'
import {
  connectAsOwner,
  type ServerAddress,
  type Sql,
} from '../../../src/platform/postgres/pool.ts'
import { serverPid } from '../../platform/postgres/embedded/place.ts'
import { copyCluster } from '../../support/cluster.ts'

/** A PostgreSQL server of the test that can be stopped, killed and started again. */
export class TestServer {
  #server: EmbeddedPostgres | null = null

  constructor(readonly dataDir: string) {}

  async start(): Promise<void> {
    this.#server = await startEmbeddedPostgres({ dataDir: this.dataDir, log: () => {} })
  }

  get address(): Extract<ServerAddress, { host: string }> {
    return this.#server!.address
  }

  /** Kills the server, as a power cut would. */
  async kill(): Promise<void> {
    process.kill(serverPid(this.dataDir), 'SIGKILL')
    await this.#server!.exited
    await this.#server!.stop()
  }

  async stop(): Promise<void> {
    await this.#server?.stop()
  }

  /** Connects as the owner. The caller ends the connection. */
  connect(): Sql {
    return connectAsOwner(this.address)
  }

  /** Runs a statement on a connection of its own. */
  async run(statement: string): Promise<void> {
    const owner = this.connect()
    await owner.unsafe(statement)
    await owner.end()
  }

  /** True if this replica has replayed the primary's log through `lsn`. */
  async hasReplayed(lsn: string): Promise<boolean> {
    const owner = this.connect()
    const [row] = await owner<{ replayed: boolean }[]>`
      select pg_last_wal_replay_lsn() >= ${lsn}::pg_lsn as replayed`
    await owner.end()
    return row!.replayed
  }

  pauseReplay = () => this.run('select pg_wal_replay_pause()')
  resumeReplay = () => this.run('select pg_wal_replay_resume()')
}

export type Servers = {
  primary: TestServer
  /** A streaming replica of the primary. */
  replica: TestServer
  /** Starts another replica. */
  addReplica(): Promise<TestServer>
  /** Starts an unrelated server, with an empty log of one shard. */
  addUnrelated(): Promise<TestServer>
  end(): Promise<void>
}

/**
 * Starts a primary with an empty log, and a streaming replica of it, with the embedded server's
 * programs, whatever server the other tests run on.
 */
export async function startServers(shards: number): Promise<Servers> {
  const servers = new TestServers()
  try {
    const primary = await servers.addPrimary(shards)
    const replica = await servers.addReplica(primary)
    return {
      primary,
      replica,
      addReplica: () => servers.addReplica(primary),
      addUnrelated: () => servers.addUnrelated(),
      end: () => servers.end(),
    }
  } catch (error) {
    await servers.end()
    throw error
  }
}

/** Settings of a primary and its replicas. */
const SETTINGS = [
  `wal_level = 'replica'`,
  'max_wal_senders = 8',
  // A replica that was stopped finds everything that it missed.
  `wal_keep_size = '1GB'`,
]

class TestServers {
  readonly #root = mkdtempSync(join(tmpdir(), 'tb-replicas-'))
  readonly #servers: TestServer[] = []
  /** A copy of the primary that every replica starts from; the rest comes by streaming. */
  readonly #base = join(this.#root, 'base')

  constructor() {
    // If root runs the tests, the servers run as another user, who must be able to enter it.
    chmodSync(this.#root, 0o711)
  }

  async addPrimary(shards: number): Promise<TestServer> {
    const primary = this.#add('primary')
    await copyCluster(primary.dataDir)
    const settings = join(primary.dataDir, 'postgres/postgresql.auto.conf')
    appendFileSync(settings, SETTINGS.map((setting) => `${setting}\n`).join(''))
    await primary.start()
    await migrateServer(primary, shards)
    await primary.stop()
    copy(primary.dataDir, this.#base)
    await primary.start()
    return primary
  }

  async addReplica(primary: TestServer): Promise<TestServer> {
    const replica = this.#add('replica')
    copy(this.#base, replica.dataDir)
    const cluster = join(replica.dataDir, 'postgres')
    const { host, port, user } = primary.address
    writeFileSync(join(cluster, 'standby.signal'), '')
    appendFileSync(
      join(cluster, 'postgresql.auto.conf'),
      `primary_conninfo = 'host=${host} port=${port} user=${user}'\n`,
    )
    await replica.start()
    return replica
  }

  async addUnrelated(): Promise<TestServer> {
    const server = this.#add('unrelated')
    // It comes from another initdb than the primary's cluster, so its system identifier differs.
    await copyCluster(server.dataDir, 'migrated')
    await server.start()
    return server
  }

  async end(): Promise<void> {
    // Replicas first: a primary that stops waits until they have received everything.
    for (const server of this.#servers.toReversed()) await server.stop()
    rmSync(this.#root, { recursive: true, force: true })
  }

  #add(name: string): TestServer {
    const server = new TestServer(join(this.#root, `${name}-${this.#servers.length}`))
    this.#servers.push(server)
    return server
  }
}

async function migrateServer(server: TestServer, shards: number): Promise<void> {
  const owner = server.connect()
  await migrate(owner, shards)
  await owner.end()
}

/** Copies a cluster with cp -a, because cpSync does not keep owners. */
function copy(from: string, to: string): void {
  mkdirSync(to)
  const source = join(from, 'postgres')
  if (!Bun.spawnSync(['cp', '-a', source, join(to, 'postgres')]).success) {
    throw new Error(`${source} could not be copied`)
  }
}
