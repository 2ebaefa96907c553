import { rm } from 'node:fs/promises'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { runLoad } from '../load.ts'
import { putCatalog } from '../sections/ingest.ts'
import type { Address, BenchServer } from '../server.ts'
import { makeBody } from '../workload.ts'
import {
  get,
  type Instances,
  makeOriginFolder,
  postFlush,
  settle,
  startInstances,
} from './instances.ts'
import { type Meter, openMeter, type Reading } from './meter.ts'
import { sizeOf } from './storage.ts'

const SUMMARY = '/admin/apikey-stats/summary'

/** Processor time (µs) of a summary read while nothing is appended. */
export type ReadCost = { shards: number; serviceUs: number; databaseUs: number }

/** Cost of a counter row that a batch writes, beyond that of its entry in the log. */
export type RowCost = { serviceUs: number; databaseUs: number; walBytes: number }

/** Bytes per row of the projections' tables, including indexes, after many updates. */
export type RowBytes = { counters: number; usage: number; snapshotPerId: number }

export type ReadCosts = { reads: ReadCost[]; row: RowCost; rowBytes: RowBytes }

export type ReadOptions = { shards: number[]; reads: number; cycles: number }

/** Measures the costs of reads, of written counter rows and of their storage, one by one. */
export async function measureReadCosts(
  server: BenchServer,
  { shards, reads, cycles }: ReadOptions,
): Promise<ReadCosts> {
  const found: ReadCosts = {
    reads: [],
    row: { serviceUs: Number.NaN, databaseUs: Number.NaN, walBytes: Number.NaN },
    rowBytes: { counters: Number.NaN, usage: Number.NaN, snapshotPerId: Number.NaN },
  }
  for (const count of shards) {
    const address = await server.createDatabase(`costs_reads_${count}`)
    const origin = await makeOriginFolder()
    const layout = { shards: count, instances: 1 }
    const first = await startInstances(address, layout, origin)
    await putCatalog(first.children[0]!.url)
    // Counts every key, often enough for a snapshot.
    await runLoad({ url: first.children[0]!.url, keys: 1_000, connections: 16, seconds: 3 })
    await first.stop()
    // A second start first writes what the first one had not written yet.
    const running = await startInstances(address, layout, origin)
    const meter = await openMeter(address, [running.children[0]!.pid])
    try {
      await settle(running.children)
      found.reads.push({ shards: count, ...(await measureRead(running, meter, reads)) })
      if (count > 1) continue
      found.row = await measureRow(running, meter, cycles)
      found.rowBytes = await readRowBytes(address)
    } finally {
      await meter.close()
      await running.stop()
      await rm(origin, { recursive: true, force: true })
    }
  }
  return found
}

const databaseOf = ({ append, project, background }: Reading) => append + project + background

async function measureRead({ children }: Instances, meter: Meter, reads: number) {
  for (let i = 0; i < 50; i++) await get(children[0]!.url, SUMMARY)
  const before = await meter.read()
  for (let i = 0; i < reads; i++) await get(children[0]!.url, SUMMARY)
  const after = await meter.read()
  return {
    serviceUs: ((after.service - before.service) * 1e6) / reads,
    databaseUs: ((databaseOf(after) - databaseOf(before)) * 1e6) / reads,
  }
}

/** Keys of the two kinds of flushes whose costs are compared. */
const FEW = 10
const MANY = 1_000

/**
 * Each flush is followed by a read, which makes the projector write a row per key at once. The much
 * lower cost of a key in the log and in the fold is included.
 */
async function measureRow({ children }: Instances, meter: Meter, cycles: number): Promise<RowCost> {
  const { url } = children[0]!
  const spend = async (keys: number) => {
    const body = makeBody(keys)
    const before = await meter.read()
    for (let i = 0; i < cycles; i++) {
      await postFlush(url, body, false)
      await get(url, SUMMARY)
    }
    const after = await meter.read()
    return {
      service: after.service - before.service,
      // Excludes the append.
      database: after.project - before.project,
      wal: after.walBytes - before.walBytes,
    }
  }
  await spend(FEW)
  const few = await spend(FEW)
  const many = await spend(MANY)
  const rows = cycles * (MANY - FEW)
  return {
    serviceUs: (Math.max(0, many.service - few.service) * 1e6) / rows,
    databaseUs: (Math.max(0, many.database - few.database) * 1e6) / rows,
    walBytes: (many.wal - few.wal) / rows,
  }
}

async function readRowBytes(address: Address): Promise<RowBytes> {
  const owner = connectAsOwner(address)
  const countOf = async (table: string, what: string) => {
    const [row] = await owner.unsafe(`select (${what})::float8 as rows from tallybook.${table}`)
    return row!.rows as number
  }
  const each = async (table: string, what = 'count(*)') =>
    (await sizeOf(owner, `^${table}`)) / (await countOf(table, what))
  try {
    const ids = 'coalesce(sum(cardinality(ids)), 0)'
    while ((await countOf('api_key_snapshots', ids)) === 0) await Bun.sleep(200)
    return {
      counters: await each('api_key_counters'),
      usage: await each('api_key_usage'),
      snapshotPerId: await each('api_key_snapshots', ids),
    }
  } finally {
    await owner.end({ timeout: 1 })
  }
}
