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
import type { TestService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { administer } from './administrator.ts'
import { adopt, adoptAll } from './adopter.ts'
import { keepBooks } from './bookkeeper.ts'
import { checkLog } from './check.ts'
import { SeenHeads } from './heads.ts'
import { externalIdOf, GROUPS, History, KNOWN_KEYS } from './history.ts'
import { browse, readAll, Subscriber, watchHealth } from './network-clients.ts'
import { type Bounds, limitsOf } from './network-limits.ts'
import { awaitRecovery, startPatiently } from './network-recovery.ts'
import { type RequestKind, type Timing, Timings } from './network-timing.ts'
import { makeRandom } from './random.ts'
import { post, type Traffic, watch } from './traffic.ts'

const SHARDS = 2
const POSTERS = 3
/** Milliseconds of normal traffic before the fault and after the recovery. */
const CALM_MS = 500
/** Milliseconds after which a client gives up: far more than any request may take. */
const TIMEOUT_MS = 150_000

export type NetworkOptions = {
  fault: NetworkFault
  purpose: Purpose
  /** True to run a second instance that the fault doesn't affect. */
  hasOther: boolean
  seed: number
  /** How long the fault lasts. */
  faultMs: number
  delayMs: { shortest: number; longest: number }
  /** Average ms between two requests of a client: clients share a thread with the service. */
  pauseMs: number
  bounds: Bounds
}

/**
 * The result of a campaign. Each of `violations` is a failure. `late` is separate, because on a
 * busy machine no test can tell how much time the service really had.
 */
export type NetworkReport = {
  fault: NetworkFault
  purpose: Purpose
  hasOther: boolean
  timings: Record<RequestKind, Timing>
  /**
   * Milliseconds from the end of the fault until the service was ready, accepted a flush and
   * answered reads, less the time by which this process was late.
   */
  recoveryMs: number
  late: string[]
  acked: number
  lost: number
  doubled: number
  violations: string[]
}

/** Runs a service whose network to its database fails under load and recovers. */
export async function failNetwork(options: NetworkOptions): Promise<NetworkReport> {
  const database = await createDatabaseOf(SHARDS)
  const random = makeRandom(options.seed)
  const proxy = await startFaultyProxy(database.address, {
    delayMs: options.delayMs,
    random: random.next,
  })
  const campaign = new Campaign(database, proxy, options)
  try {
    return await campaign.run()
  } finally {
    await campaign.end()
    await proxy.close()
    await database.drop()
  }
}

class Campaign {
  private readonly history = new History()
  readonly #timings: Timings
  readonly #heads: SeenHeads
  /** The first one uses the proxy that fails. */
  readonly #services: TestService[] = []
  readonly #ends: (() => Promise<void>)[] = []
  #isOver = false

  constructor(
    private readonly database: TestDatabase,
    private readonly proxy: FaultyProxy,
    private readonly options: NetworkOptions,
  ) {
    this.#timings = new Timings(limitsOf(options.bounds))
    this.#heads = new SeenHeads(SHARDS, this.history)
  }

  async run(): Promise<NetworkReport> {
    const { fault, purpose, hasOther, faultMs } = this.options
    await this.#start()
    const [service, other] = this.#services
    const subscriber = new Subscriber(service!, this.#traffic(1), this.#timings)
    this.#ends.push(async () => subscriber.stop())
    const clients = this.#runClients()
    const subscribing = Promise.all([subscriber.run(), subscriber.open()])
    if (other) await this.#untilShared(this.#services)
    await Bun.sleep(CALM_MS)
    this.proxy.begin(fault, purpose)
    await Promise.all([Bun.sleep(faultMs), other && this.#untilTakenOver(other)])
    this.proxy.end()
    const lateMs = this.#timings.lateMs
    const tookMs = await awaitRecovery(service!, this.history)
    const recoveryMs = Math.max(0, Math.round(tookMs - (this.#timings.lateMs - lateMs)))
    if (other) await this.#untilShared(this.#services)
    await Bun.sleep(CALM_MS)
    this.#isOver = true
    await clients
    await this.#readToEnd(subscriber)
    subscriber.stop()
    await subscribing
    const { lost, doubled, violations } = await this.#check()
    const { acked } = this.history.counts
    const { byKind: timings, late } = this.#timings
    const what = { fault, purpose, hasOther }
    return { ...what, timings, recoveryMs, late, acked, lost, doubled, violations }
  }

  /** Stops what still runs, whether the campaign passed or failed. */
  async end(): Promise<void> {
    this.#isOver = true
    this.#timings.stop()
    for (const end of this.#ends.reverse()) await end()
  }

  async #start(): Promise<void> {
    const own = await makeOrigin()
    this.#ends.push(() => own.remove())
    const { connectSeconds } = this.options.bounds
    await this.#startOne(own.origin, withTimeout(this.proxy.address, connectSeconds))
    if (this.options.hasOther) {
      const dataDir = join(own.dataDir, 'other')
      await cp(join(own.dataDir, 'transparency'), join(dataDir, 'transparency'), {
        recursive: true,
      })
      const { origin } = await openOrigin(dataDir, null)
      await this.#startOne(origin, this.database.address)
    }
    const catalog = {
      provider_groups: Array.from({ length: GROUPS }, (_, i) => ({ id: i + 1 })),
      api_keys: Array.from({ length: KNOWN_KEYS }, (_, i) => {
        return { id: i + 1, external_id: externalIdOf(i + 1), group_id: 1 + (i % GROUPS) }
      }),
    }
    // A busy machine may refuse it.
    await until(async () => (await this.#services[0]!.putCatalog(catalog)).status === 200)
  }

  async #startOne(origin: Origin, address: TestDatabase['address']): Promise<void> {
    const { database, log } = this.options.bounds
    const service = await startPatiently({
      ...{ database: this.database, address, origin, shards: SHARDS },
      intervals: { database, log, admission: INTERVALS.admission },
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
      pauseMs: this.options.pauseMs,
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
      keepBooks(traffic(), 'bookkeeper'),
      adopt(traffic()),
      this.#heads.watch(traffic()),
      ...[readAll(traffic(), 'reads'), readAll(traffic(), 'reads')],
      ...[readAll(traffic(), 'log'), readAll(traffic(), 'log')],
      browse(traffic()),
      watchHealth(traffic()),
    ])
  }

  /** Waits until each of these services owns shards, and together they own each shard once. */
  async #untilShared(services: TestService[]): Promise<void> {
    await until(async () => {
      const owned = await Promise.all(services.map(readOwned))
      return owned.every(({ length }) => length > 0) && owned.flat().length === SHARDS
    })
  }

  /** Waits until a service owns all shards, accepts flushes, answers reads and signs. */
  async #untilTakenOver(service: TestService): Promise<void> {
    await this.#untilShared([service])
    await awaitRecovery(service, this.history)
    await this.#untilSigned(service)
  }

  /** Waits until its tree heads cover everything that is in the log now. */
  async #untilSigned(service: TestService): Promise<void> {
    const ends = await readHeads(this.database.owner)
    await until(async () => {
      const response = await service.fetch('admin', '/admin/status')
      if (response.status !== 200) return false
      const { signed } = (await response.json()) as { signed: number[] }
      return ends.every((end, shard) => signed[shard]! > end)
    })
  }

  /** Checks that the subscriber, after the traffic, reaches the end of the log. */
  async #readToEnd(subscriber: Subscriber): Promise<void> {
    const ends = await readHeads(this.database.owner)
    const isThere = () => ends.every((end, shard) => subscriber.positions[shard] === end)
    await until(isThere).catch(() => {
      this.history.violate(`the stream is at ${subscriber.positions}, the log at ${ends}`)
    })
  }

  /** Compares reads, the log and the tree heads with what the clients know. */
  async #check() {
    await adoptAll({ history: this.history }, this.#services[0]!.url)
    const { ackedRequests, reversingRequests, sentRequests } = this.history
    const least = ackedRequests - reversingRequests
    for (const service of this.#services) {
      // A lost connection may be detected only now.
      const total = await until(() => readTotal(service))
      if (!(total >= least && total <= sentRequests)) {
        this.history.violate(`after the traffic: ${total}, acknowledged at least ${least}`)
      }
      await this.#untilSigned(service)
    }
    await this.#heads.check(this.database.owner)
    return await checkLog(this.database.owner, this.history)
  }

  /** Checks that no error is logged except refused flushes, which are expected. */
  #noteLogged(line: string): void {
    const { msg, err } = JSON.parse(line) as { msg: string; err?: { message: string } }
    if (msg !== 'log: flushes are refused') this.history.violate(`logged: ${msg} ${err?.message}`)
  }
}

/** Reads the total of all requests, or null if the read is refused. */
async function readTotal(service: TestService): Promise<number | null> {
  const response = await service.fetch('admin', '/admin/apikey-stats/summary')
  if (response.status !== 200) return null
  return ((await response.json()) as { total_requests: number }).total_requests
}

/** Returns the shards that an instance reports as its own. */
async function readOwned(service: TestService): Promise<number[]> {
  const response = await service.fetch('admin', '/admin/status')
  if (response.status !== 200) return []
  const { instance, instances } = (await response.json()) as {
    instance: string
    instances: { id: string; owned_shards: number[] }[]
  }
  return instances.find(({ id }) => id === instance)?.owned_shards ?? []
}

/** Returns an address as a URL with a time-out for connecting. */
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
