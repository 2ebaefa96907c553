import { afterEach, beforeEach } from 'bun:test'
import { freePort } from './free-port.ts'
import { type DataDir, makeDataDir, type Process, readUrl, runTallybook } from './process.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase, urlOf } from './server.ts'
import { TOKENS } from './service.ts'

/** A service as a process on a database of the run, which is killed and started again. */
export class ServiceProcess {
  /** The address it listens on, which stays the same when it is started again. */
  url = ''
  #port = 0
  #database: TestDatabase | null = null
  #folder: DataDir | null = null
  #process: Process | null = null

  /** Makes a database and a data directory, and starts the service on them. */
  async open(): Promise<void> {
    this.#port = await freePort()
    this.#database = await createDatabase()
    this.#folder = await makeDataDir()
    await this.start()
  }

  async start(): Promise<void> {
    this.#process = runTallybook(['serve'], this.#folder!.path, {
      DATABASE_URL: urlOf(this.#database!.address),
      TALLYBOOK_PORT: String(this.#port),
      TALLYBOOK_SHARDS: String(TEST_SHARDS),
      TALLYBOOK_UNKNOWN_KEYS: 'register',
    })
    this.url = await readUrl(this.#process)
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL')
    await this.#process?.exited
    this.#process = null
  }

  /** Kills it, and removes what it had. */
  async end(): Promise<void> {
    await this.kill()
    await this.#database?.drop()
    await this.#folder?.remove()
  }

  async putCatalog(catalog: unknown): Promise<void> {
    const { status } = await this.#send('/admin/catalog', {
      method: 'PUT',
      body: JSON.stringify(catalog),
    })
    if (status !== 200) throw new Error(`The catalog was answered ${status}.`)
  }

  async read<Body>(path: string): Promise<Body> {
    const response = await this.#send(path)
    if (response.status !== 200) throw new Error(`${path}: ${response.status}`)
    return (await response.json()) as Body
  }

  #send(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${TOKENS.admin}` }
    return fetch(`${this.url}${path}`, { ...init, headers })
  }
}

/** A service for each test of a file. */
export function useServiceProcess(): ServiceProcess {
  const service = new ServiceProcess()
  beforeEach(() => service.open())
  afterEach(() => service.end())
  return service
}
