import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/platform/postgres/embedded/index.ts'
import { connectAsOwner, type Sql } from '../../src/platform/postgres/pool.ts'
import { TOKENS } from '../support/service.ts'
import { externalIdOf, GROUPS, KNOWN_KEYS } from './history.ts'
import { TOKEN_KEY_ROWS } from './quotas.ts'

/** Milliseconds between two attempts to start an instance that ended. */
const RETRY_MS = 100

/** A database server and instances of the service on it, all processes that can be killed. */
export class Cluster {
  readonly instances: Instance[] = []
  #server!: EmbeddedPostgres

  constructor(
    readonly dataDir: string,
    readonly shards: number,
  ) {}

  async start(instances: number): Promise<void> {
    this.#server = await this.#startServer()
    for (let i = 0; i < instances; i++) {
      const instance = new Instance(this)
      this.instances.push(instance)
      await instance.start()
    }
  }

  /** Opens a connection as the owner; the caller ends it. */
  connect(): Sql {
    return connectAsOwner(this.address)
  }

  get address() {
    return this.#server.address
  }

  /** Kills the database server with SIGKILL and starts it again after `downMs`. */
  async killDatabase(downMs: number): Promise<void> {
    const server = this.#server
    const [pid] = readFileSync(join(this.dataDir, 'postgres/postmaster.pid'), 'utf8').split('\n')
    process.kill(Number(pid), 'SIGKILL')
    await server.exited
    await server.stop()
    await Bun.sleep(downMs)
    this.#server = await this.#startServer()
  }

  /** Restarts the database server if it has ended by itself. */
  async restartDatabaseIfEnded(): Promise<void> {
    const ended = await Promise.race([
      this.#server.exited.then(() => true),
      Bun.sleep(1_000).then(() => false),
    ])
    if (!ended) return
    await this.#server.stop()
    this.#server = await this.#startServer()
  }

  /** Reads the server's log. */
  readServerLog(): Promise<string> {
    return readFile(join(this.dataDir, 'postgres.log'), 'utf8')
  }

  async stop(): Promise<void> {
    for (const instance of this.instances) await instance.stop()
    await this.#server.stop()
  }

  #startServer(): Promise<EmbeddedPostgres> {
    return startEmbeddedPostgres({ dataDir: this.dataDir, log: () => {} })
  }
}

/** One instance. Each start uses another port. */
export class Instance {
  port = 0
  /** Its output on stderr. */
  errors = ''
  #process: ReturnType<typeof spawnInstance> | null = null
  #stopped = false

  constructor(private readonly cluster: Cluster) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Starts it, and retries while the database is unavailable. */
  async start(): Promise<void> {
    while (!this.#stopped) {
      const started = spawnInstance(this.cluster)
      this.#process = started
      this.#collect(started.stderr)
      const port = await readPort(started.stdout)
      if (port !== null) {
        this.port = port
        return
      }
      await started.exited
      await Bun.sleep(RETRY_MS)
    }
  }

  async kill(downMs: number): Promise<void> {
    this.#process?.kill('SIGKILL')
    await this.#process?.exited
    await Bun.sleep(downMs)
    await this.start()
  }

  /** Stops the process with SIGSTOP for `ms`. */
  async freeze(ms: number): Promise<void> {
    this.#process?.kill('SIGSTOP')
    await Bun.sleep(ms)
    this.#process?.kill('SIGCONT')
  }

  /** Restarts it as a rolling restart does: it first finishes what it accepted. */
  async restart(): Promise<void> {
    this.#process?.kill('SIGTERM')
    await this.#process?.exited
    await this.start()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#process?.kill('SIGTERM')
    await this.#process?.exited
  }

  async #collect(stderr: ReadableStream<Uint8Array>): Promise<void> {
    for await (const chunk of stderr) this.errors += new TextDecoder().decode(chunk)
  }
}

function spawnInstance({ address, shards, dataDir }: Cluster) {
  const script = join(import.meta.dir, 'instance.ts')
  return Bun.spawn(
    [process.execPath, '--no-orphans', script, JSON.stringify(address), String(shards), dataDir],
    { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
  )
}

/** Reads the port that an instance prints, or null if it ended before it listened. */
async function readPort(stdout: ReadableStream<Uint8Array>): Promise<number | null> {
  const reader = stdout.getReader()
  let text = ''
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += new TextDecoder().decode(part.value)
    const port = /listens on http:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1]
    if (port) return Number(port)
  }
  return null
}

/** Puts the keys that campaigns post into the catalog, each in a group. */
export async function putCatalog(cluster: Cluster): Promise<void> {
  const response = await fetch(`${cluster.instances[0]!.url}/admin/catalog`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify({
      provider_groups: Array.from({ length: GROUPS }, (_, i) => ({ id: i + 1 })),
      api_keys: Array.from({ length: KNOWN_KEYS }, (_, i) => ({
        id: i + 1,
        external_id: externalIdOf(i + 1),
        group_id: 1 + (i % GROUPS),
      })),
      keys: TOKEN_KEY_ROWS,
    }),
  })
  if (!response.ok) throw new Error(`catalog: ${response.status} ${await response.text()}`)
}
