import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClientProcess, type DriverOptions } from '../../clients/conformance/client-process.ts'
import type { Driver } from '../../clients/conformance/drivers.ts'
import { FaultServer } from '../../clients/conformance/fault-server.ts'
import type { SourceItem } from '../../src/sources/read.ts'
import { type TestService, TOKENS } from '../support/service.ts'
import { note } from './tally.ts'

/** What a step of a scenario records: the API key, and how many requests. */
export type Recorded = { key: number; requests: number; isSealed: boolean }

/** How many keys a body of 1,024 bytes, the smallest limit of a service, has room for. */
const KEYS_PER_CHANGE = 30

/** Fills the catalog with at least this many API keys for `World.record`. */
export async function putKeys(service: TestService, keys: number): Promise<void> {
  for (let first = 1; first <= keys; first += KEYS_PER_CHANGE) {
    const api_keys = Array.from({ length: KEYS_PER_CHANGE }, (_, i) => ({ id: first + i }))
    const { status } = await service.putCatalog({ api_keys })
    if (status !== 200) throw new Error(`The catalog was answered ${status}.`)
  }
}

let keysUsed = 0

/** A spool, a fault server before the service, and what was recorded. */
export class World {
  readonly recorded: Recorded[] = []

  private constructor(
    readonly service: TestService,
    readonly faults: FaultServer,
    readonly spool: string,
    private readonly driver: Driver,
  ) {}

  static async open(service: TestService, driver: Driver): Promise<World> {
    const faults = new FaultServer(service.url)
    await faults.listen()
    const spool = await mkdtemp(join(tmpdir(), 'tallybook-spool-'))
    return new World(service, faults, spool, driver)
  }

  async close(): Promise<void> {
    await this.faults.close()
    await rm(this.spool, { recursive: true })
  }

  /** Starts a client on the spool. It seals only when it is told to. */
  start(options: Partial<DriverOptions> = {}, driver = this.driver): ClientProcess {
    return new ClientProcess(driver.command, {
      url: this.faults.url,
      token: TOKENS.dp,
      spool: this.spool,
      instance: 'proxy-1',
      seal_interval_ms: 3_600_000,
      backoff: { first_ms: 2, longest_ms: 10 },
      ...options,
    })
  }

  /** Records for keys that no other step uses, and seals. False if the client has died. */
  async record(client: ClientProcess, keys = 1): Promise<boolean> {
    const steps: Recorded[] = []
    for (let i = 0; i < keys; i++) {
      const step = { key: ++keysUsed, requests: keysUsed + 1, isSealed: false }
      steps.push(step)
      this.recorded.push(step)
      const counts = { requests: step.requests, success_requests: step.requests - 1 }
      await client.send('record', { key: step.key, counts })
    }
    const answer = await client.send('seal')
    for (const step of steps) step.isSealed = answer?.sealed === true
    return answer !== null
  }

  /** Lists the files of a folder of the spool; none if the client was killed before it made that. */
  files(folder: 'sealed' | 'attempted' | 'rejected'): Promise<string[]> {
    return readdir(join(this.spool, folder)).catch(() => [])
  }

  /**
   * Compares what was recorded with totals and with the entries of the log, and returns the keys
   * with a difference: a sealed step counts once, one that was not sealed once or not at all.
   */
  async differences(): Promise<string[]> {
    const found = await this.service.database.owner<
      { key: number; entries: number; requests: number }[]
    >`
      select api_key_id::integer as key, count(*)::integer as entries,
        sum(requests)::integer as requests
      from flush_entries
      where api_key_id = any(${this.recorded.map(({ key }) => key)})
      group by api_key_id`
    const inLog = new Map(found.map((row) => [row.key, row]))
    const totals = await this.#readTotals()
    const sumOf = (steps: Recorded[]) => steps.reduce((sum, { requests }) => sum + requests, 0)
    note(this.driver.name, {
      faults: this.faults.arrived.filter(({ fault }) => fault !== 'none').length,
      recorded: sumOf(this.recorded),
      sealed: sumOf(this.recorded.filter(({ isSealed }) => isSealed)),
      inLog: found.reduce((sum, row) => sum + row.requests, 0),
      lost: sumOf(this.recorded.filter(({ key, isSealed }) => isSealed && !inLog.has(key))),
      doubled: sumOf(this.recorded.filter(({ key }) => (inLog.get(key)?.entries ?? 0) > 1)),
    })
    return this.recorded.flatMap(({ key, requests, isSealed }) => {
      const row = inLog.get(key)
      const total = totals.get(key)
      const isThere = row?.entries === 1 && row.requests === requests && total === requests
      const isAbsent = row === undefined && total === 0
      if (isThere || (isAbsent && !isSealed)) return []
      return [`key ${key}: recorded ${requests}, log ${JSON.stringify(row)}, total ${total}`]
    })
  }

  /** Returns what the service misses of the sequences that have arrived. */
  async missing(): Promise<number[][]> {
    const epochs = this.faults.arrived.map(({ sequence }) => sequence?.split('/')[0])
    const { items } = await this.service.read<{ items: SourceItem[] }>('/admin/sources')
    return items
      .flatMap((source) => source.epochs)
      .filter(({ epoch }) => epochs.includes(epoch))
      .flatMap(({ missing }) => missing)
  }

  async #readTotals(): Promise<Map<number, number>> {
    const totals = new Map<number, number>()
    let path = '/admin/api-keys?limit=1000'
    for (;;) {
      const page = await this.service.read<Page>(path)
      for (const { id, total_requests } of page.items) totals.set(id, total_requests)
      if (page.next_cursor === null) return totals
      path = `/admin/api-keys?limit=1000&cursor=${page.next_cursor}`
    }
  }
}

type Page = { items: { id: number; total_requests: number }[]; next_cursor: string | null }
