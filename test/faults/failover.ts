import pino from 'pino'
import { readHeads } from '../../src/log/read.ts'
import type { Sql } from '../../src/platform/postgres/pool.ts'
import { parseNote } from '../../src/proofs/merkle/note.ts'
import { parseTreeHead } from '../../src/proofs/merkle/tree-head.ts'
import {
  type Origin,
  openOrigin,
  readPersistedHead,
  startOrigin,
} from '../../src/proofs/transparency/origin.ts'
import { type Servers, startServers, type TestServer } from '../cluster/replicas/servers.ts'
import { makeOrigin } from '../support/origin.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { type SwitchableProxy, startSwitch } from '../support/switch.ts'
import { until } from '../support/until.ts'
import type { FailoverOptions, FailoverReport } from './failover-report.ts'
import { findForeignHeads, makeSynchronous, promote, stopReceiving } from './standby.ts'
import { isRefusal } from './traffic.ts'

const SHARDS = 2
const FLUSH = '/internal/apikey-stats/flush'

const POSTERS = 4
/** Milliseconds between two requests of a client, which shares a thread with the service. */
const PAUSE_MS = 10
/** Milliseconds until a refused request is sent again. */
const RETRY_MS = 20
export const NOT_SIGNED = 'transparency: not signed'

/** A phase in which one server has the address, and the flushes acknowledged during it. */
type Phase = { server: TestServer; acked: Set<string> }

/**
 * Runs a service on an address that moves from a primary to its standby under load, and back.
 * Checks that reads include every flush acknowledged since the move, and that no head is of another
 * tree.
 */
export async function failOver(options: FailoverOptions): Promise<FailoverReport> {
  const servers = await startServers(SHARDS)
  try {
    return await new Failover(servers, options).run()
  } finally {
    await servers.end()
  }
}

class Failover {
  readonly #report: FailoverReport = {
    ...{ violations: [], acked: 0, lost: 0, outageMs: 0, logged: [], refused: null },
  }
  readonly #heads: { shard: number; text: string; phase: Phase }[] = []
  /** Heads that were signed before the address moved. */
  readonly #signed = new Set<string>()
  #service!: TestService
  #proxy!: SwitchableProxy
  #own!: Awaited<ReturnType<typeof makeOrigin>>
  #origin!: Origin
  #isOver = false
  #phase: Phase
  #posted = 0

  constructor(
    private readonly servers: Servers,
    private readonly options: FailoverOptions,
  ) {
    this.#phase = { server: servers.primary, acked: new Set() }
  }

  async run(): Promise<FailoverReport> {
    const { primary, replica } = this.servers
    const { synchronous, restarts, returns } = this.options
    this.#proxy = await startSwitch(primary.address)
    this.#own = await makeOrigin()
    try {
      if (synchronous) await makeSynchronous(primary)
      await this.#start(this.#own.origin)
      await this.#service.putCatalog({
        provider_groups: [{ id: 1 }],
        api_keys: [{ id: 1, group_id: 1 }],
      })
      const load = this.#load()
      await this.#untilAcked()
      if (!synchronous) await stopReceiving(replica)
      await this.#untilAcked()
      await this.#untilSigned()
      const first = this.#phase

      await this.#move(replica, async () => {
        await primary.kill()
        await promote(replica)
      })
      if (restarts) await this.#restart()
      await this.#untilAcked()
      // The operator learns that signed events are missing.
      if (!synchronous && !restarts) await until(() => this.#report.logged.includes(NOT_SIGNED))
      await this.#check([first, this.#phase])

      if (returns) {
        await this.#move(primary, () => primary.start())
        await this.#untilAcked()
        await this.#check([this.#phase])
      }
      this.#isOver = true
      await load
      await this.#checkAtRest()
      await this.#service.stop()
    } finally {
      this.#isOver = true
      await this.#own.remove()
      await this.#proxy.close()
    }
    return this.#report
  }

  /** Removes the address from its server, and gives it to another after `prepare`. */
  async #move(to: TestServer, prepare: () => Promise<void>): Promise<void> {
    this.#proxy.lead(null)
    await prepare()
    // Lets the last server's acknowledgements reach the clients.
    await Bun.sleep(500)
    for (let shard = 0; shard < SHARDS; shard++) {
      const note = await readPersistedHead(this.#origin, shard)
      if (note !== null) this.#signed.add(textOf(note))
    }
    this.#phase = { server: to, acked: new Set() }
    this.#proxy.lead(to.address)
    const movedAt = performance.now()
    void this.#untilAcked(1).then(() => {
      this.#report.outageMs ||= Math.round(performance.now() - movedAt)
    })
  }

  async #start(origin: Origin): Promise<void> {
    const { address } = this.#proxy
    this.#origin = origin
    this.#service = await startTestService({
      database: { address, owner: null as never, drop: async () => {} },
      ...{ address, shards: SHARDS, origin },
      logger: pino({ level: 'warn' }, { write: (line) => this.#note(line) }),
    })
  }

  /** Restarts the service; if the start is refused, does what an operator does then. */
  async #restart(): Promise<void> {
    await this.#service.stop()
    try {
      await this.#start(this.#origin)
    } catch (error) {
      this.#report.refused = (error as Error).message
      // As `tallybook key new-origin` does.
      const heads = new Map<number, string>()
      for (let shard = 0; shard < SHARDS; shard++) {
        const head = await readPersistedHead(this.#origin, shard)
        if (head !== null) heads.set(shard, head)
      }
      await startOrigin(this.#own.dataDir, 'stats.example.com/2', heads)
      await this.#start((await openOrigin(this.#own.dataDir, null)).origin)
    }
  }

  /** Waits until the server that has the address has acknowledged this many more flushes. */
  async #untilAcked(flushes = this.options.flushes): Promise<void> {
    const { acked } = this.#phase
    const before = acked.size
    await until(() => acked.size >= before + flushes)
  }

  /** Waits until tree heads of all shards cover everything that is in the log now. */
  async #untilSigned(): Promise<void> {
    const owner = this.#phase.server.connect()
    const heads = await readHeads(owner)
    await owner.end()
    const isSeen = (size: number, shard: number) =>
      this.#heads.some((head) => head.shard === shard && parseTreeHead(head.text)!.size > size)
    await until(() => heads.every(isSeen))
  }

  /** Posts, reads and collects tree heads until the failover is over. */
  async #load(): Promise<void> {
    await Promise.all([
      ...Array.from({ length: POSTERS }, () => this.#post()),
      this.#read(),
      this.#watchHeads(),
    ])
  }

  async #post(): Promise<void> {
    while (!this.#isOver) {
      const key = `flush-${this.#posted++}`
      const keys = [{ api_key_id: 1, requests: 1 }]
      for (let isAcked = false; !isAcked && !this.#isOver; ) {
        const response = await this.#service
          .post(FLUSH, { keys }, { 'idempotency-key': key })
          .catch(() => null)
        await response?.arrayBuffer().catch(() => {})
        isAcked = response?.status === 200
        if (isAcked) {
          this.#phase.acked.add(key)
          this.#report.acked++
        } else if (response !== null && !isRefusal(response.status)) {
          this.#violate(`a flush was answered ${response.status}`)
          return
        } else await Bun.sleep(RETRY_MS)
      }
      await Bun.sleep(PAUSE_MS)
    }
  }

  /** Checks that no read lacks a flush acknowledged in this phase before the read began. */
  async #read(): Promise<void> {
    const paths = ['/admin/api-keys/1', '/admin/usage?api_key_id=1']
    for (let i = 0; !this.#isOver; i++) {
      const phase = this.#phase
      const least = phase.acked.size
      const response = await this.#service.fetch('admin', paths[i % 2]!).catch(() => null)
      if (response?.status !== 200 || phase !== this.#phase) {
        await Bun.sleep(RETRY_MS)
        continue
      }
      const body = (await response.json()) as { total_requests?: number; total?: object }
      const { total_requests = 0 } = (body.total ?? body) as { total_requests?: number }
      if (total_requests < least) this.#violate(`a read has ${total_requests} of ${least} flushes`)
      await Bun.sleep(PAUSE_MS)
    }
  }

  async #watchHeads(): Promise<void> {
    while (!this.#isOver) {
      for (let shard = 0; shard < SHARDS; shard++) {
        const phase = this.#phase
        const path = `/audit/log/${shard}/checkpoint`
        const response = await this.#service.fetch('auditor', path).catch(() => null)
        if (response?.status !== 200) continue
        this.#heads.push({ shard, phase, text: textOf(await response.text()) })
      }
      await Bun.sleep(RETRY_MS)
    }
  }

  /** Compares the log of the server that has the address with what clients know. */
  async #check(phases: Phase[]): Promise<void> {
    const now = this.#phase
    const acked = phases.map((phase) => [...phase.acked])
    const owner = now.server.connect()
    const keys = await this.#readKeys(owner)
    for (const [i, phase] of phases.entries()) {
      const missing = acked[i]!.filter((key) => !keys.has(key))
      if (phase === now && missing.length > 0)
        this.#violate(`${missing.length} flushes are missing`)
      if (phase !== now) this.#report.lost += missing.length
    }
    await this.#checkHeads(owner)
    await owner.end()
  }

  /** Checks that a read after the traffic returns what the log contains. */
  async #checkAtRest(): Promise<void> {
    const owner = this.#phase.server.connect()
    const { size } = await this.#readKeys(owner)
    await owner.end()
    const total = await until(async () => {
      const response = await this.#service.fetch('admin', '/admin/api-keys/1')
      if (response.status !== 200) return null
      return ((await response.json()) as { total_requests: number }).total_requests
    })
    if (total !== size) this.#violate(`a read returns ${total}, the log has ${size}`)
  }

  async #readKeys(owner: Sql): Promise<Set<string>> {
    const rows = await owner<{ key: string }[]>`
      select e.idempotency_key as key from events e where e.idempotency_key like 'flush-%'`
    const keys = new Set(rows.map(({ key }) => key))
    if (keys.size < rows.length) this.#violate('a flush is in the log twice')
    return keys
  }

  /** Checks that each head seen in this phase is of its server's tree or was signed before. */
  async #checkHeads(owner: Sql): Promise<void> {
    for (let shard = 0; shard < SHARDS; shard++) {
      const seen = this.#heads.filter((head) => head.shard === shard && head.phase === this.#phase)
      const fresh = new Set(seen.map(({ text }) => text).filter((text) => !this.#signed.has(text)))
      for (const size of await findForeignHeads(owner, shard, fresh)) {
        this.#violate(`the tree head of ${size} events in shard ${shard} is of another tree`)
      }
    }
  }

  #note(line: string): void {
    const { msg } = JSON.parse(line) as { msg: string }
    if (!this.#report.logged.includes(msg)) this.#report.logged.push(msg)
  }

  #violate(what: string): void {
    this.#report.violations.push(what)
  }
}

/** The signed text of a head, without signatures, which differ after each start. */
const textOf = (note: string): string => parseNote(note)!.text
