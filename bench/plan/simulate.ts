import { percentile } from '../measure.ts'
import { Engine, seeded, type Thread } from './engine.ts'
import { batchPeriodMs, distinct } from './rules.ts'
import { Disk, Lock, SimulatedAppender, type SimulatedFlush } from './simulated-shard.ts'
import { sizeOf, type UnitCosts } from './unit-costs.ts'

/** The load: clients that wait for their answers, or proxies that post at intervals. */
export type Posting =
  | { kind: 'closed'; connections: number }
  /** With random phases, and intervals that vary by up to a share `jitter`. */
  | { kind: 'open'; proxies: number; intervalMs: number; jitter: number }

export type Simulated = {
  shards: number
  instances: number
  keys: number
  keyCount: number
  posting: Posting
  /** Cores shared by everything including generators, or separate ones. */
  cores: number | { service: number; database: number }
  seconds: number
  seed: number
}

export type Outcome = {
  perSecond: number
  p50Ms: number
  p99Ms: number
  flushesPerCommit: number
  /** Flushes accepted and not answered: mean and maximum of samples every 10 ms. */
  queue: { mean: number; max: number }
  /** Shares of the cores that were busy. */
  busy: { service: number; database: number }
}

const WARM_UP_US = 500_000
const SAMPLE_INTERVAL_US = 10_000

/**
 * Simulates group commit under load: service threads and backends share cores, each instance has
 * one batch per shard in flight, and a shard's lock is held until its fsync is done.
 */
export function simulate(costs: UnitCosts, options: Simulated): Outcome {
  const { instances, keys, posting, seconds, seed } = options
  const engine = new Engine()
  const random = seeded(seed)
  const { service, database } = makeCores(engine, costs, options)
  const threads = Array.from({ length: instances }, () => service.addThread())
  const collectors = Array.from({ length: instances }, () => service.addThread())
  const appenders = makeAppenders(engine, costs, options, { threads, database, random })

  const tookMs: number[] = []
  const lengths: number[] = []
  const isMeasured = () => engine.now >= WARM_UP_US
  const threadUs = costs.thread.flush + costs.thread.key * keys
  const collectorUs = Math.max(
    0,
    costs.service.flush + costs.service.key * keys + costs.service.commit / 8 - threadUs,
  )
  const post = (instance: number, begun: number, done: () => void) => {
    threads[instance]!.do(threadUs, () => {
      collectors[instance]!.do(collectorUs, () => {})
      const settled = () => {
        if (isMeasured()) tookMs.push((engine.now - begun) / 1e3)
        done()
      }
      shortest(appenders[instance]!).add({ begun, settled } satisfies SimulatedFlush)
    })
  }
  if (posting.kind === 'closed') {
    const generators = threads.map(() => service.addThread())
    const { flush, commit, key } = costs.generator
    const generatorUs = flush + key * keys + commit / 8
    for (let c = 0; c < posting.connections; c++) {
      const instance = c % instances
      const again = () =>
        generators[instance]!.do(generatorUs, () => post(instance, engine.now, again))
      engine.after(random() * 1e3, again)
    }
  } else {
    const intervalUs = posting.intervalMs * 1e3
    for (let p = 0; p < posting.proxies; p++) {
      const again = () => {
        post(p % instances, engine.now, () => {})
        engine.after(intervalUs * (1 + posting.jitter * (2 * random() - 1)), again)
      }
      engine.after(random() * intervalUs, again)
    }
  }
  const all = appenders.flat()
  const sample = () => {
    if (isMeasured()) lengths.push(all.reduce((sum, { length }) => sum + length, 0))
    engine.after(SAMPLE_INTERVAL_US, sample)
  }
  sample()
  engine.runUntil(WARM_UP_US)
  const before = { commits: commitsOf(all), service: service.busy(), database: database.busy() }
  engine.runUntil(WARM_UP_US + seconds * 1e6)
  const cores = typeof options.cores === 'number' ? null : options.cores
  const shared = typeof options.cores === 'number' ? options.cores : 1
  return {
    perSecond: tookMs.length / seconds,
    p50Ms: percentile(tookMs, 0.5),
    p99Ms: percentile(tookMs, 0.99),
    flushesPerCommit: tookMs.length / (commitsOf(all) - before.commits),
    queue: {
      mean: lengths.reduce((sum, length) => sum + length, 0) / lengths.length,
      max: Math.max(...lengths),
    },
    busy: {
      service: (service.busy() - before.service) / (seconds * 1e6 * (cores?.service ?? shared)),
      database: (database.busy() - before.database) / (seconds * 1e6 * (cores?.database ?? shared)),
    },
  }
}

const commitsOf = (appenders: SimulatedAppender[]) =>
  appenders.reduce((sum, { commits }) => sum + commits, 0)

/**
 * The cost of polling the shards is subtracted from the cores up front. The cost of a flush includes
 * that of the first growing shard.
 */
function makeCores(engine: Engine, { idle, growing }: UnitCosts, options: Simulated) {
  const { shards, instances, cores } = options
  const idleCores = (side: 'service' | 'database') =>
    instances * (idle[side].instance + idle[side].shard * shards) + growing[side] * (shards - 1)
  const left = (total: number, used: number) => Math.max(0.05 * total, total - used)
  if (typeof cores === 'number') {
    const all = engine.addCores(left(cores, idleCores('service') + idleCores('database')))
    return { service: all, database: all }
  }
  return {
    service: engine.addCores(left(cores.service, idleCores('service'))),
    database: engine.addCores(left(cores.database, idleCores('database'))),
  }
}

type Set = ReturnType<Engine['addCores']>

/** Makes appenders by instance and shard. The instances share the projection of the shards. */
function makeAppenders(
  engine: Engine,
  costs: UnitCosts,
  { shards, instances, keys, keyCount }: Simulated,
  { threads, database, random }: { threads: Thread[]; database: Set; random: () => number },
): SimulatedAppender[][] {
  const disk = new Disk(engine, () => drawFsync(costs, random()) * 1e3)
  const locks = Array.from({ length: shards }, () => new Lock())
  const appenders = Array.from({ length: instances }, (_, instance) =>
    locks.map((lock) => {
      const parts = { thread: threads[instance]!, backend: database.addThread(), lock, disk }
      return new SimulatedAppender(costs, keys, parts)
    }),
  )
  for (let shard = 0; shard < shards; shard++) {
    const owner = shard % instances
    const projector = { thread: threads[owner]!, backend: database.addThread() }
    let fresh = { own: 0, others: 0 }
    for (const [instance, own] of appenders.entries()) {
      own[shard]!.onAppended = (flushes) => {
        fresh[instance === owner ? 'own' : 'others'] += flushes
      }
    }
    const foldBatch = () => {
      const { own, others } = fresh
      fresh = { own: 0, others: 0 }
      const events = own + others
      const rows = distinct(events * keys, keyCount)
      const started = engine.now
      const serviceUs = rows * costs.row.service + others * sizeOf(costs.readBack, keys)
      const databaseUs = rows * costs.row.database + events * costs.integrate
      projector.thread.do(serviceUs, () =>
        projector.backend.do(databaseUs, () => {
          const tookMs = (engine.now - started) / 1e3
          engine.after((batchPeriodMs(tookMs) - tookMs) * 1e3, foldBatch)
        }),
      )
    }
    engine.after(random() * 1e5, foldBatch)
  }
  return appenders
}

function shortest(appenders: SimulatedAppender[]): SimulatedAppender {
  let found = appenders[0]!
  for (const one of appenders) if (one.length < found.length) found = one
  return found
}

/** Interpolates between the measured points of the distribution. */
function drawFsync({ fsync: { shares, ms } }: UnitCosts, share: number): number {
  const i = shares.findIndex((one) => one > share)
  if (i < 1) return ms.at(-1)!
  const [from, to] = [shares[i - 1]!, shares[i]!]
  return ms[i - 1]! + ((share - from) / (to - from)) * (ms[i]! - ms[i - 1]!)
}
