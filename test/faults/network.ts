import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import { readHeads } from '../../src/log/read.ts'
import { INTERVALS } from '../../src/platform/intervals.ts'
import { type Origin, openOrigin } from '../../src/proofs/transparency/origin.ts'
import {
  type FaultyProxy,
  type NetworkFault,
  type Purpose,
  startFaultyProxy,
} from '../support/faulty-proxy.ts'
import { makeOrigin } from '../support/origin.ts'
import { createDatabaseOf, type TestDatabase } from '../support/server.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { checkLog } from './check.ts'
import { SeenHeads } from './heads.ts'
import { GROUPS, History, KNOWN_KEYS } from './history.ts'
import { browse, Follower, readAll, watchHealth } from './network-clients.ts'
import { type Bounds, limitsOf } from './network-limits.ts'
import { awaitRecovery } from './network-recovery.ts'
import { type RequestKind, type Timing, Timings } from './network-timing.ts'
import { makeRandom } from './random.ts'
import { administer, post, type Traffic, watch } from './traffic.ts'

const SHARDS = 2
const POSTERS = 3
/** Of a poster: the clients share a thread with the service. */
const REST_MS = 30
/** Milliseconds before the fault, and after all is well again. */
const CALM_MS = 500
/** Milliseconds after which a client of a campaign gives up: far more than any request may take. */
const TIMEOUT_MS = 150_000

export type NetworkOptions = {
  fault: NetworkFault
  purpose: Purpose
  /** Beside an instance that the fault doesn't concern. */
  hasOther: boolean
  seed: number
  /** How long the fault lasts. */
  faultMs: number
  delayMs: { shortest: number; longest: number }
  bounds: Bounds
}

/**
 * What came of it; all of `violations` is wrong. What was too late is told apart: how much time there
 * is on a machine that has other things to do, no test can say.
 */
export type NetworkReport = {
  fault: NetworkFault
  purpose: Purpose
  hasOther: boolean
  timings: Record<RequestKind, Timing>
  /**
   * Milliseconds from the end of the fault until the service was ready, took a flush and read; less
   * what this process was late.
   */
  recoveryMs: number
  late: string[]
  acked: number
  lost: number
  doubled: number
  violations: string[]
}

/** A service whose network to its database fails under load, and comes back. */
export async function failNetwork(options: NetworkOptions): Promise<NetworkReport> {
  const database = await createDatabaseOf(SHARDS)
  const random = makeRandom(options.seed)
  const way = await startFaultyProxy(database.address, {
    delayMs: options.delayMs,
    random: random.next,
  })
  const campaign = new Campaign(database, way, options)
  try {
    return await campaign.run()
  } finally {
    await campaign.end()
    await way.close()
    await database.drop()
  }
}

class Campaign {
  private readonly history = new History()
  readonly #timings: Timings
  readonly #heads: SeenHeads
  /** The first by the way that fails. */
  readonly #services: TestService[] = []
  readonly #ends: (() => Promise<void>)[] = []
  #isOver = false

  constructor(
    private readonly database: TestDatabase,
    private readonly way: FaultyProxy,
    private readonly options: NetworkOptions,
  ) {
    this.#timings = new Timings(limitsOf(options.bounds))
    this.#heads = new SeenHeads(SHARDS, this.history)
  }

  async run(): Promise<NetworkReport> {
    const { fault, purpose, hasOther, faultMs } = this.options
    await this.#start()
    const [service, other] = this.#services
    const follower = new Follower(service!, this.#traffic(1), this.#timings)
    this.#ends.push(async () => follower.stop())
    const clients = this.#runClients()
    const following = Promise.all([follower.run(), follower.open()])
    if (other) await this.#untilShared(this.#services)
    await Bun.sleep(CALM_MS)
    this.way.begin(fault, purpose)
    await Promise.all([Bun.sleep(faultMs), other && this.#untilTaken(other)])
    this.way.end()
    const lateMs = this.#timings.lateMs
    const tookMs = await awaitRecovery(service!, this.history)
    const recoveryMs = Math.max(0, Math.round(tookMs - (this.#timings.lateMs - lateMs)))
    if (other) await this.#untilShared(this.#services)
    await Bun.sleep(CALM_MS)
    this.#isOver = true
    await clients
    await this.#followToEnd(follower)
    follower.stop()
    await following
    const { lost, doubled, violations } = await this.#check()
    const { acked } = this.history.counts
    const { byKind: timings, late } = this.#timings
    const what = { fault, purpose, hasOther }
    return { ...what, timings, recoveryMs, late, acked, lost, doubled, violations }
  }

  /** Ends what is left, however it went. */
  async end(): Promise<void> {
    this.#isOver = true
    this.#timings.stop()
    for (const end of this.#ends.reverse()) await end()
  }

  async #start(): Promise<void> {
    const own = await makeOrigin()
    this.#ends.push(() => own.remove())
    const { connectSeconds } = this.options.bounds
    await this.#startOne(own.origin, withTimeout(this.way.address, connectSeconds))
    if (this.options.hasOther) {
      const dataDir = join(own.dataDir, 'other')
      await cp(join(own.dataDir, 'transparency'), join(dataDir, 'transparency'), {
        recursive: true,
      })
      const { origin } = await openOrigin(dataDir, null)
      await this.#startOne(origin, this.database.address)
    }
    await this.#services[0]!.putCatalog({
      provider_groups: Array.from({ length: GROUPS }, (_, i) => ({ id: i + 1 })),
      api_keys: Array.from({ length: KNOWN_KEYS }, (_, i) => {
        return { id: i + 1, group_id: 1 + (i % GROUPS) }
      }),
    })
  }

  async #startOne(origin: Origin, address: TestDatabase['address']): Promise<void> {
    const { database, log } = this.options.bounds
    const service = await startTestService({
      ...{ database: this.database, address, origin, shards: SHARDS },
      intervals: { database, log, places: INTERVALS.places },
      logger: pino({ level: 'error' }, { write: (line) => this.#noteLogged(line) }),
    })
    this.#services.push(service)
    this.#ends.push(() => service.stop())
  }

  #traffic(number: number): Traffic {
    return {
      urls: () => this.#services.map(({ url }) => url),
      history: this.history,
      random: makeRandom(this.options.seed * 100 + number),
      isOver: () => this.#isOver,
      timeoutMs: TIMEOUT_MS,
      restMs: REST_MS,
      onSent: (method, sent) => this.#timings.begin(method, sent),
    }
  }

  async #runClients(): Promise<void> {
    let number = 10
    const traffic = () => this.#traffic(number++)
    await Promise.all([
      ...Array.from({ length: POSTERS }, (_, i) => post(traffic(), `poster-${i}`)),
      watch(traffic()),
      administer(traffic()),
      this.#heads.watch(traffic()),
      ...[readAll(traffic(), 'reads'), readAll(traffic(), 'reads')],
      ...[readAll(traffic(), 'log'), readAll(traffic(), 'log')],
      browse(traffic()),
      watchHealth(traffic()),
    ])
  }

  /** Returns when each of these tends some of the shards, and all of them together each one. */
  async #untilShared(services: TestService[]): Promise<void> {
    await until(async () => {
      const owned = await Promise.all(services.map(readOwned))
      return owned.every(({ length }) => length > 0) && owned.flat().length === SHARDS
    })
  }

  /** Returns when an instance does alone what two did: it tends, takes, folds and signs all. */
  async #untilTaken(service: TestService): Promise<void> {
    await this.#untilShared([service])
    await awaitRecovery(service, this.history)
    await this.#untilSigned(service)
  }

  /** Returns when its tree heads cover all that is in the log now. */
  async #untilSigned(service: TestService): Promise<void> {
    const ends = await readHeads(this.database.owner)
    await until(async () => {
      const response = await service.fetch('admin', '/admin/status')
      if (response.status !== 200) return false
      const { signed } = (await response.json()) as { signed: number[] }
      return ends.every((end, shard) => signed[shard]! > end)
    })
  }

  /** What the follower has when nobody posts any more is the log. */
  async #followToEnd(follower: Follower): Promise<void> {
    const ends = await readHeads(this.database.owner)
    const isThere = () => ends.every((end, shard) => follower.positions[shard] === end)
    await until(isThere).catch(() => {
      this.history.violate(`the stream is at ${follower.positions}, the log at ${ends}`)
    })
  }

  /** Reads, the log and the tree heads, held against what the clients know. */
  async #check() {
    const { ackedRequests, sentRequests } = this.history
    for (const service of this.#services) {
      // A connection that was lost may be found only now.
      const total = await until(() => readTotal(service))
      if (!(total >= ackedRequests && total <= sentRequests)) {
        this.history.violate(`at rest: ${total}, acknowledged ${ackedRequests}`)
      }
      await this.#untilSigned(service)
    }
    await this.#heads.check(this.database.owner)
    return await checkLog(this.database.owner, this.history)
  }

  /** Nothing but this is an error: the rest of what a network does is expected. */
  #noteLogged(line: string): void {
    const { msg, err } = JSON.parse(line) as { msg: string; err?: { message: string } }
    if (msg !== 'log: flushes are refused') this.history.violate(`logged: ${msg} ${err?.message}`)
  }
}

/** Null where it can't be told now. */
async function readTotal(service: TestService): Promise<number | null> {
  const response = await service.fetch('admin', '/admin/apikey-stats/summary')
  if (response.status !== 200) return null
  return ((await response.json()) as { total_requests: number }).total_requests
}

/** The shards that an instance tends, as it sees it itself. */
async function readOwned(service: TestService): Promise<number[]> {
  const response = await service.fetch('admin', '/admin/status')
  if (response.status !== 200) return []
  const { instance, instances } = (await response.json()) as {
    instance: string
    instances: { id: string; owned_shards: number[] }[]
  }
  return instances.find(({ id }) => id === instance)?.owned_shards ?? []
}

/** An address as a URL that says how long a connection may take to be made. */
function withTimeout(address: TestDatabase['address'], seconds: number) {
  if ('url' in address) {
    const url = new URL(address.url)
    url.searchParams.set('sslmode', 'disable')
    url.searchParams.set('connect_timeout', String(seconds))
    return { url: url.href }
  }
  const { port, user, database } = address
  const parameters = `sslmode=disable&connect_timeout=${seconds}`
  return { url: `postgres://${user}@127.0.0.1:${port}/${database}?${parameters}` }
}
