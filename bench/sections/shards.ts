import { rm } from 'node:fs/promises'
import { median } from '../measure.ts'
import {
  type Instances,
  loadAll,
  makeOriginFolder,
  postFlush,
  settle,
  startInstances,
} from '../scale/instances.ts'
import { type Meter, openMeter, type Reading } from '../scale/meter.ts'
import { readResidentMb } from '../scale/processes.ts'
import type { Address, BenchServer } from '../server.ts'
import { makeBody } from '../workload.ts'
import { putCatalog } from './ingest.ts'

/** Number of shards of a database, and of instances on it. */
export type Layout = { shards: number; instances: number }
type Load = { keys: number; connections: number }

/** Result of one load on one layout: medians over the rounds, times in µs per flush. */
export type LoadedRow = Layout & {
  keys: number
  connections: number
  perSecond: number
  errors: number
  p50Ms: number
  p99Ms: number
  /** All threads of the service, and its main threads. */
  serviceUs: number
  threadUs: number
  appendUs: number
  projectUs: number
  backgroundUs: number
  generatorUs: number
  /** Busy cores during the load. */
  busyCores: number
  flushesPerCommit: number
  /** Mean fsync time of the write-ahead log by the database, whose backends report it 1 s late. */
  fsyncMs: number
  walBytes: number
  /** Rows of counters and usage written. */
  rows: number
  connectionsOpen: number
}

/** Costs of a layout without load, or with flushes that make every shard grow every second. */
export type QuietRow = Layout & {
  flushesPerSecond: number
  /** Busy cores. */
  service: number
  database: number
  walBytesPerSecond: number
  /** Resident memory per instance. */
  residentMb: number
}

export type Shards = { cores: number; loaded: LoadedRow[]; quiet: QuietRow[] }

export type ShardsOptions = {
  layouts: Layout[]
  /** Loads on every layout. */
  loads: Load[]
  /** Additional loads on the first layout, for the costs of a flush, a key and a commit. */
  costs: Load[]
  seconds: number
  quietSeconds: number
  rounds: number
}

const WARM_UP = { keys: 100, connections: 32, seconds: 2 }
/** Flushes per second that make every shard grow every second; one key each. */
const TRICKLE = 50

type Database = { address: Address; originFolder: string }

/** Measures ingest and its costs on every layout, in turn in each round, on one server. */
export async function measureShards(server: BenchServer, options: ShardsOptions): Promise<Shards> {
  const databases = new Map<number, Database>()
  for (const { shards } of options.layouts) {
    if (databases.has(shards)) continue
    const address = await server.createDatabase(`shards_${shards}`)
    databases.set(shards, { address, originFolder: await makeOriginFolder() })
  }
  const loaded = new Map<string, LoadedRow[]>()
  const quiet = new Map<string, QuietRow[]>()
  try {
    for (let round = 0; round < options.rounds; round++) {
      for (const [i, layout] of options.layouts.entries()) {
        const found = await measureLayout(databases.get(layout.shards)!, layout, options, i === 0)
        for (const row of found.loaded) note(loaded, row, ['keys', 'connections'])
        for (const row of found.quiet) note(quiet, row, ['flushesPerSecond'])
        console.error(`round ${round + 1}: ${layout.shards} shards, ${layout.instances} instances`)
      }
    }
  } finally {
    for (const { originFolder } of databases.values()) {
      await rm(originFolder, { recursive: true, force: true })
    }
  }
  const cores = navigator.hardwareConcurrency
  return {
    cores,
    loaded: [...loaded.values()].map(medianRow),
    quiet: [...quiet.values()].map(medianRow),
  }
}

function note<Row extends Layout>(rows: Map<string, Row[]>, row: Row, by: (keyof Row)[]): void {
  const name = [row.shards, row.instances, ...by.map((field) => row[field])].join(' ')
  rows.set(name, [...(rows.get(name) ?? []), row])
}

function medianRow<Row extends Record<string, number>>(rows: Row[]): Row {
  const fields = Object.keys(rows[0]!).map((field) => [
    field,
    median(rows.map((row) => row[field]!)),
  ])
  return Object.fromEntries(fields) as Row
}

/** Starts new instances for each turn, so that idle ones take nothing from the measured ones. */
async function measureLayout(
  { address, originFolder }: Database,
  layout: Layout,
  options: ShardsOptions,
  isFirst: boolean,
): Promise<{ loaded: LoadedRow[]; quiet: QuietRow[] }> {
  const running = await startInstances(address, layout, originFolder)
  const pids = running.children.map(({ pid }) => pid)
  const meter = await openMeter(address, pids)
  try {
    await putCatalog(running.children[0]!.url)
    await loadAll(running.children, WARM_UP)
    await finishDeferredWork(running)
    await meter.untilIdle()
    const quiet = [
      await measureQuiet(running, meter, layout, options.quietSeconds, 0),
      await measureQuiet(running, meter, layout, options.quietSeconds, TRICKLE),
    ]
    const idle = quiet[0]!
    const loaded: LoadedRow[] = []
    for (const load of isFirst ? [...options.loads, ...options.costs] : options.loads) {
      const point = { ...load, seconds: options.seconds }
      loaded.push({ ...layout, ...(await measureLoad(running, meter, point, idle)) })
    }
    return { loaded, quiet }
  } finally {
    await meter.close()
    await running.stop()
  }
}

async function measureLoad(
  running: Instances,
  meter: Meter,
  point: Load & { seconds: number },
  idle: QuietRow,
): Promise<Omit<LoadedRow, keyof Layout>> {
  const heads = await meter.readHeads()
  const before = await meter.read()
  const { load, cpuSeconds } = await loadAll(running.children, point)
  const ended = await meter.read()
  const connectionsOpen = await meter.countConnections()
  // Deferred work of the projector and the tree is part of the cost of a flush.
  await finishDeferredWork(running)
  const after = await meter.read()
  const commits = await meter.countCommits(heads)
  const flushes = (await meter.readHeads()).reduce((sum, head, i) => sum + head - heads[i]!, 0)
  const fsyncs = ended.fsyncs - before.fsyncs
  const seconds = after.at - before.at
  const microseconds = (spent: number) => (Math.max(0, spent) * 1e6) / flushes
  const between = (field: keyof Reading) => after[field] - before[field]
  return {
    keys: point.keys,
    connections: point.connections,
    perSecond: load.perSecond,
    errors: load.errors,
    p50Ms: load.p50Ms,
    p99Ms: load.p99Ms,
    serviceUs: microseconds(between('service') - idle.service * seconds),
    threadUs: microseconds(between('thread') - idle.service * seconds),
    appendUs: microseconds(between('append')),
    projectUs: microseconds(between('project') - idle.database * seconds),
    backgroundUs: microseconds(between('background')),
    generatorUs: microseconds(cpuSeconds),
    busyCores: (cpuOf(ended) - cpuOf(before) + cpuSeconds) / (ended.at - before.at),
    flushesPerCommit: flushes / commits,
    fsyncMs: ((ended.fsyncSeconds - before.fsyncSeconds) * 1e3) / fsyncs,
    walBytes: between('walBytes') / flushes,
    rows: between('rows') / flushes,
    connectionsOpen: connectionsOpen / running.children.length,
  }
}

async function measureQuiet(
  running: Instances,
  meter: Meter,
  layout: Layout,
  seconds: number,
  perSecond: number,
): Promise<QuietRow> {
  const before = await meter.read()
  const body = makeBody(1)
  let posted = 0
  for (const begun = performance.now(); performance.now() - begun < seconds * 1_000; ) {
    await Bun.sleep(perSecond === 0 ? seconds * 1_000 : 1_000 / perSecond)
    if (perSecond === 0) continue
    await postFlush(running.children[posted++ % layout.instances]!.url, body, true)
  }
  const after = await meter.read()
  const took = after.at - before.at
  const resident = await Promise.all(running.children.map(({ pid }) => readResidentMb(pid)))
  return {
    ...layout,
    flushesPerSecond: perSecond,
    service: (after.service - before.service) / took,
    database: (databaseOf(after) - databaseOf(before)) / took,
    walBytesPerSecond: (after.walBytes - before.walBytes) / took,
    residentMb: median(resident),
  }
}

const databaseOf = ({ append, project, background }: Reading) => append + project + background
const cpuOf = (reading: Reading) => reading.service + databaseOf(reading)

/** Waits until the projections reflect the log and the tree has all its events. */
async function finishDeferredWork({ children }: Instances): Promise<void> {
  await settle(children)
  for (const { url } of children.slice(0, 1)) await untilSigned(url)
}

/** Waits until the tree heads no longer grow. */
async function untilSigned(url: string): Promise<void> {
  const read = async () => {
    const text = await (await fetch(`${url}/metrics`)).text()
    return text
      .split('\n')
      .filter((line) => line.startsWith('tallybook_tree_size'))
      .join()
  }
  for (let last = await read(); ; ) {
    await Bun.sleep(1_200)
    const next = await read()
    if (next === last) return
    last = next
  }
}
