import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { type Child, runChild, startChild } from '../child.ts'
import { type Load, runLoad } from '../load.ts'
import { median } from '../measure.ts'
import { type ProcessorTime, perFlush, readProcessorTime } from '../processor-time.ts'
import { type Fsync, hasRedis, type Redis, startRedis } from '../redis.ts'
import type { Address, BenchServer } from '../server.ts'
import { makeCatalog, TOKENS } from '../workload.ts'

/** The peers, in the order of each round. */
export const PEERS = [
  'tallybook',
  'sorted',
  'direct',
  'collected',
  'redis_always',
  'redis_everysec',
  'emmett',
  'ceiling',
  'bare',
] as const
export type Peer = (typeof PEERS)[number]

const FSYNC: { [P in Peer]?: Fsync } = { redis_always: 'always', redis_everysec: 'everysec' }

export type IngestRow = {
  peer: Peer
  keys: number
  connections: number
  /** Medians over the rounds. */
  load: Load
  /** Projection lag (s) at the end of each round; only for Tallybook. */
  lagSeconds: number[]
  /**
   * Processor time (µs) per flush, through the end of what it causes, medians over the rounds: of
   * the process that serves flushes, and of its database. Null where it can't be read.
   */
  processor?: Processor
}

/** Processor time of the two parts of a peer; null if there is no such part, or no such figure. */
export type Processor = { service: ProcessorTime | null; database: ProcessorTime | null }

export type IngestOptions = {
  keys: number[]
  connections: number[]
  seconds: number
  rounds: number
}

const WARM_UP = { keys: 10, connections: 16, seconds: 2 }

/** A peer that runs. `address` is null if it has no database of PostgreSQL. */
type Running = {
  peer: Peer
  address: Address | null
  redis: Redis | null
  child: Child | null
  /** The process of its database. */
  databasePid: number
}

/** Measures flushes per second of every peer, one after the other in each round, on one server. */
export async function measureIngest(
  server: BenchServer,
  { keys, connections, seconds, rounds }: IngestOptions,
): Promise<IngestRow[]> {
  const running: Running[] = []
  try {
    for (const peer of PEERS) {
      if (FSYNC[peer] !== undefined && !hasRedis) continue
      const one = await startPeer(server, peer)
      running.push(one)
      // Compiles code and opens connections before anything is measured.
      await runPoint(one, WARM_UP)
      await settle(one)
    }
    const rows = new Map<string, { row: IngestRow; runs: Run[] }>()
    for (let round = 0; round < rounds; round++) {
      for (const keysPerFlush of keys) {
        for (const count of connections) {
          for (const one of running) {
            const point = { keys: keysPerFlush, connections: count, seconds }
            const run = await measurePoint(one, point)
            const name = `${one.peer} ${keysPerFlush} ${count}`
            const row = { peer: one.peer, keys: keysPerFlush, connections: count, load: run.load }
            const known = rows.get(name) ?? { row: { ...row, lagSeconds: [] }, runs: [] }
            rows.set(name, known)
            known.runs.push(run)
            if (one.peer === 'tallybook') known.row.lagSeconds.push(run.lagSeconds)
            await settle(one)
          }
          console.error(`round ${round + 1}: ${keysPerFlush} keys, ${count} connections`)
        }
      }
    }
    return [...rows.values()].map(({ row, runs }) => ({
      ...row,
      load: medianLoad(runs.map(({ load }) => load)),
      processor: {
        service: medianTime(runs.map(({ service }) => service)),
        database: medianTime(runs.map(({ database }) => database)),
      },
    }))
  } finally {
    for (const { child, redis } of running) {
      await child?.stop()
      await redis?.stop()
    }
  }
}

async function startPeer(server: BenchServer, peer: Peer): Promise<Running> {
  const fsync = FSYNC[peer]
  if (fsync !== undefined) {
    const redis = await startRedis(fsync)
    const child = await startChild('peers/serve.ts', ['redis', redis.url])
    return { peer, address: null, redis, child, databasePid: redis.pid }
  }
  const address = await server.createDatabase(`ingest_${peer}`)
  const running = { peer, address, redis: null, child: null, databasePid: server.pid }
  if (peer === 'bare') return running
  const child = await startChild('peers/serve.ts', [peer, JSON.stringify(address)])
  if (peer === 'tallybook') await putCatalog(child.url)
  return { ...running, child }
}

export async function putCatalog(url: string, apiKeys?: number): Promise<void> {
  const response = await fetch(`${url}/admin/catalog`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${TOKENS.admin}` },
    body: JSON.stringify(makeCatalog(apiKeys)),
  })
  if (!response.ok) throw new Error(`catalog: ${response.status} ${await response.text()}`)
}

type Point = { keys: number; connections: number; seconds: number }

function runPoint({ child, address }: Running, { keys, connections, seconds }: Point) {
  if (child) return runLoad({ url: child.url, keys, connections, seconds })
  const args = [JSON.stringify(address!), keys, connections, seconds].map(String)
  return runChild<Load>('peers/bare-batches.ts', args)
}

type Run = Processor & { load: Load; lagSeconds: number }

/** Measures one load, and the processor time of everything that it causes. */
async function measurePoint(one: Running, point: Point): Promise<Run> {
  const { child, databasePid } = one
  const read = () => ({
    service: child === null ? null : readProcessorTime(child.pid),
    database: readProcessorTime(databasePid),
  })
  const before = read()
  const load = await runPoint(one, point)
  const lagSeconds = one.peer === 'tallybook' ? await readLag(child!.url) : Number.NaN
  await finish(one)
  const after = read()
  const flushes = load.perSecond * point.seconds
  return {
    load,
    lagSeconds,
    service: perFlush(before.service, after.service, flushes),
    database: one.peer === 'ceiling' ? null : perFlush(before.database, after.database, flushes),
  }
}

/** Waits until a peer has nothing left to do. */
async function finish({ peer, address, child }: Running): Promise<void> {
  if (peer === 'tallybook') {
    // A read waits for the projector.
    await fetch(`${child!.url}/admin/apikey-stats/summary`, {
      headers: { authorization: `Bearer ${TOKENS.admin}` },
    })
  }
  // It writes once a second.
  if (peer === 'collected') await Bun.sleep(1_500)
  if (peer === 'direct' || peer === 'sorted') await cancelAll(address!)
}

/** Ends the remaining work of a peer, so that it does not slow the next one. */
async function settle(one: Running): Promise<void> {
  await finish(one)
  const { address } = one
  if (address === null) return
  // Leaves no dirty pages either.
  const owner = connectAsOwner(address)
  await owner`checkpoint`
  await owner.end()
  await Bun.sleep(300)
}

/** The clients are gone, but their transactions may still wait for each other's rows. */
async function cancelAll(address: Address): Promise<void> {
  const owner = connectAsOwner(address)
  let busy: readonly unknown[]
  do {
    busy = await owner`
      select pg_cancel_backend(pid)
      from pg_stat_activity
      where datname = ${address.database} and pid <> pg_backend_pid() and state <> 'idle'`
    await Bun.sleep(20)
  } while (busy.length > 0)
  await owner.end()
}

export async function readLag(url: string): Promise<number> {
  const response = await fetch(`${url}/admin/projections`, {
    headers: { authorization: `Bearer ${TOKENS.admin}` },
  })
  const { items } = (await response.json()) as { items: { name: string; lag_seconds: number }[] }
  // Usage and snapshots lag by design.
  const counters = items.filter(({ name }) => name.endsWith('_counters'))
  return Math.max(...counters.map(({ lag_seconds }) => lag_seconds))
}

/** Medians of user and system time; null if no round has them. */
function medianTime(times: (ProcessorTime | null)[]): ProcessorTime | null {
  const known = times.filter((time) => time !== null)
  if (known.length === 0) return null
  const medianOf = (value: (time: ProcessorTime) => number) => median(known.map(value))
  return { user: medianOf(({ user }) => user), system: medianOf(({ system }) => system) }
}

function medianLoad(loads: Load[]): Load {
  const medianOf = (value: (load: Load) => number) => median(loads.map(value))
  return {
    perSecond: medianOf(({ perSecond }) => perSecond),
    errors: medianOf(({ errors }) => errors),
    p50Ms: medianOf(({ p50Ms }) => p50Ms),
    p99Ms: medianOf(({ p99Ms }) => p99Ms),
  }
}
