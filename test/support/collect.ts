import { afterEach, beforeEach } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type SettingName, variableOf } from '../../src/collect/settings.ts'
import { type Process, readUrl, runTallybook } from './process.ts'
import { TOKENS } from './service.ts'

export type CollectOptions = {
  settings?: Partial<Record<SettingName, string>>
  /** Options of the command line. */
  args?: string[]
  env?: Record<string, string>
}

/** A process of `tallybook collect` in a folder of its own, which is killed and started again. */
export class CollectProcess {
  /** The address it listens on, which stays the same when it is started again. */
  url = ''
  /** Its working folder; what it keeps is in `collect`. */
  folder = ''
  #process: Process | null = null

  /** `service` has the address of the service that it posts to, unless the settings have another. */
  constructor(private readonly service: { url: string }) {}

  async start({ settings = {}, args = [], env = {} }: CollectOptions = {}): Promise<void> {
    const all = {
      ...{ url: this.service.url, dp_token: TOKENS.dp, directory: join(this.folder, 'collect') },
      ...{ listen: this.url === '' ? '127.0.0.1:0' : new URL(this.url).host, commit_ms: '5' },
      ...settings,
    }
    const variables = Object.entries(all).map(([name, value]) => [
      variableOf(name as SettingName),
      value,
    ])
    this.#process = runTallybook(['collect', ...args], this.folder, {
      ...Object.fromEntries(variables),
      ...env,
    })
    this.url = await readUrl(this.#process)
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL')
    await this.#process?.exited
    this.#process = null
  }

  /** Asks it to end, and returns its exit code. */
  async stop(): Promise<number> {
    this.#process!.kill('SIGTERM')
    const code = await this.#process!.exited
    this.#process = null
    return code
  }

  post(path: string, body: string | Uint8Array, headers: Record<string, string> = {}) {
    return fetch(this.url + path, { method: 'POST', body, headers })
  }
}

/** A collector for each test of a file, in a folder that is removed after it. */
export function useCollectProcess(service: { url: string }): CollectProcess {
  const collector = new CollectProcess(service)
  beforeEach(async () => {
    collector.url = ''
    collector.folder = await mkdtemp(join(tmpdir(), 'tallybook-collect-'))
  })
  afterEach(async () => {
    await collector.kill()
    await rm(collector.folder, { recursive: true })
  })
  return collector
}

/** What a service has counted for a key. */
export type CountedKey = {
  external_id: string
  name: string
  group_id: number
  total_requests: number
  success_requests: number
  measures: Record<string, number>
}

/** Reads what was counted for an external id; undefined if the service does not know it. */
export async function readKey(
  service: { read<Body>(path: string): Promise<Body> },
  externalId: string,
): Promise<CountedKey | undefined> {
  const path = `/admin/api-keys?external_id=${encodeURIComponent(externalId)}`
  return (await service.read<{ items: CountedKey[] }>(path)).items[0]
}
