import { expect } from 'bun:test'
import pino, { type Logger } from 'pino'
import type { Intervals } from '../../../src/platform/intervals.ts'
import type { ServerAddress } from '../../../src/platform/postgres/pool.ts'
import { TEST_SHARDS } from '../../support/server.ts'
import { startTestService, type TestService } from '../../support/service.ts'
import type { TestServer } from './servers.ts'

/** How long (ms) `until` waits. Generous, because a machine may be slow. */
const UNTIL_TIMEOUT_MS = 60_000

/** A replica in GET /admin/status. */
export type ReplicaStatus = {
  state: string
  why: string | null
  since: string
  lag_events: number
  lag_seconds: number
}

/** A service on a primary that reads from replicas, and its log lines. */
export class ReplicatedService {
  constructor(
    readonly service: TestService,
    readonly logged: { msg: string; state?: string; why?: string }[],
  ) {}

  async readReplicas(): Promise<ReplicaStatus[]> {
    const status = await this.service.read<{ replicas: ReplicaStatus[] }>('/admin/status')
    return status.replicas
  }

  /** Waits until the replicas are in these states. */
  async waitForStates(...states: string[]): Promise<void> {
    await until(async () => {
      const replicas = await this.readReplicas()
      return replicas.every(({ state }, i) => state === states[i])
    })
  }

  /** Returns how many reads replicas answered, and how many fell back to the primary, by reason. */
  async readCounts(): Promise<{ replica: number; fallbacks: Record<string, number> }> {
    const response = await this.service.fetch(null, '/metrics')
    const text = await response.text()
    const fallbacks: Record<string, number> = {}
    for (const [, reason, count] of text.matchAll(
      /^tallybook_replica_fallbacks_total\{reason="(\w+)"\} (\d+)$/gm,
    )) {
      fallbacks[reason!] = Number(count)
    }
    return { replica: Number(/^tallybook_replica_reads_total (\d+)$/m.exec(text)![1]), fallbacks }
  }

  /** Posts a flush of one request of API key 1, and returns its position. */
  async post(): Promise<string> {
    const response = await this.service.post('/internal/apikey-stats/flush', {
      keys: [{ api_key_id: 1, requests: 1, success_requests: 1 }],
    })
    expect(response.status).toBe(200)
    return response.headers.get('tallybook-position')!
  }

  /** Returns the total of the summary, and the position that it reflects. */
  async readTotal(query = ''): Promise<{ total: number; position: string }> {
    const response = await this.service.fetch('auditor', `/admin/apikey-stats/summary${query}`)
    expect(response.status).toBe(200)
    const { total_requests: total } = (await response.json()) as { total_requests: number }
    return { total, position: response.headers.get('tallybook-position')! }
  }
}

/** Starts a service on a primary; its catalog has one group with one API key. */
export async function startReplicated(
  primary: TestServer,
  replicas: readonly ServerAddress[],
  intervals: Partial<Intervals> = {},
): Promise<ReplicatedService> {
  const logged: { msg: string; state?: string }[] = []
  const logger: Logger = pino(
    { level: 'info' },
    { write: (line: string) => void logged.push(JSON.parse(line)) },
  )
  const owner = primary.connect()
  const service = await startTestService({
    database: {
      address: primary.address,
      owner,
      drop: () => owner.end({ timeout: 1 }),
    },
    shards: TEST_SHARDS,
    replicas,
    intervals,
    logger,
  })
  const catalog = { provider_groups: [{ id: 1 }], api_keys: [{ id: 1, group_id: 1 }] }
  expect((await service.putCatalog(catalog)).status).toBe(200)
  return new ReplicatedService(service, logged)
}

/** Expects that a replica was in `state` and later used again, with one line per change. */
export function expectLoggedOnce(logged: ReplicatedService['logged'], state: string): void {
  const lines = logged.filter(({ msg }) => msg.startsWith('replica:'))
  const states = lines.map((line) => line.state)
  expect(states).toContain(state)
  expect(states.lastIndexOf('used')).toBeGreaterThan(states.indexOf(state))
  // The reason may change while a replica is unavailable.
  const changes = lines.map((line) => `${line.state}: ${line.why ?? ''}`)
  expect(changes.filter((change, i) => change === changes[i - 1])).toEqual([])
}

/** Waits until `holds` returns true. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + UNTIL_TIMEOUT_MS
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('the condition did not become true in time')
    await Bun.sleep(25)
  }
}
