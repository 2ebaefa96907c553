import { FSYNC_SHARES } from '../scale/fsync.ts'
import type { Costs } from '../sections/costs.ts'
import type { Footprint } from '../sections/footprint.ts'
import type { LoadedRow, QuietRow, Shards } from '../sections/shards.ts'
import { fit } from './fit.ts'

/** Cost of a flush: its share of a commit, a fixed part, and a part per key. */
export type Line = { commit: number; flush: number; key: number }

/** Cost without a commit: a fixed part per flush, and a part per key. */
export type Size = { flush: number; key: number }

/** Cost that does not depend on flushes: a part per instance, and a part per shard of it. */
export type BaseCost = { instance: number; shard: number }

/** All unit costs, derived from measurements. Times are µs of a processor. */
export type UnitCosts = {
  /** The main thread, and all threads of an instance. */
  thread: Line
  service: Line
  /** Appending in the database, including its background writers. */
  append: Line
  generator: Line
  walBytes: Line
  /** Writing a row of counters or usage. */
  row: { service: number; database: number; walBytes: number }
  /** Adding a leaf hash to the tree, in the database. */
  integrate: number
  /** Reading an event back and folding it, on an instance that did not append it. */
  readBack: Size
  /** Busy cores without load, and additional ones per shard that grows every second. */
  idle: { service: BaseCost; database: BaseCost }
  growing: { service: number; database: number }
  /** Quantiles and mean of the fsync time (ms). */
  fsync: { shares: readonly number[]; ms: number[]; meanMs: number }
  logBytes: Size
  tileBytes: number
  archiveBytes: Size
  parquetBytes: Size
  /** Bytes per flush from and to clients, and between service and database. */
  httpBytes: Size
  databaseBytes: Size
  /** A read of the summary. */
  summary: { service: BaseCost; database: BaseCost }
  rowBytes: { counters: number; usage: number; snapshotPerId: number }
  /** Megabytes per instance, shard and key. */
  memory: { instance: number; shard: number; key: number }
}

/** Cost of one flush in a commit of several. */
export const costOf = ({ commit, flush, key }: Line, flushesPerCommit: number, keys: number) =>
  commit / flushesPerCommit + flush + key * keys

export const sizeOf = ({ flush, key }: Size, keys: number) => flush + key * keys

/** Computes the unit costs: some fitted to loads of one shard and instance, others measured. */
export function toUnitCosts(shards: Shards, costs: Costs, footprint?: Footprint): UnitCosts {
  const plain = shards.loaded.filter((row) => row.shards === 1 && row.instances === 1)
  // The cost of written rows is subtracted, because it is measured separately.
  const line = (pick: (row: LoadedRow) => number, rowCost = 0) => fitLine(plain, pick, rowCost)
  const [integrated, rowDatabase] = fit(
    plain.map((row) => [1, row.rows]),
    plain.map(({ projectUs }) => projectUs),
  ) as [number, number]
  const size = <Row extends { keys: number }>(rows: Row[], pick: (row: Row) => number): Size => {
    const [flush, key] = fit(
      rows.map(({ keys }) => [1, keys]),
      rows.map(pick),
    ) as [number, number]
    return { flush, key }
  }
  const { storage, network, row } = costs
  const unit = {
    thread: line(({ threadUs }) => threadUs, row.serviceUs),
    service: line(({ serviceUs }) => serviceUs, row.serviceUs),
    append: line(({ appendUs, backgroundUs }) => appendUs + backgroundUs),
    generator: line(({ generatorUs }) => generatorUs),
    walBytes: line(({ walBytes }) => walBytes, row.walBytes),
    row: { service: row.serviceUs, database: rowDatabase, walBytes: row.walBytes },
    integrate: integrated,
    readBack: size(storage, ({ foldUs }) => foldUs),
    idle: {
      service: fitBaseCost(shards.quiet, ({ service }) => service),
      database: fitBaseCost(shards.quiet, ({ database }) => database),
    },
    fsync: { shares: FSYNC_SHARES, ms: costs.fsyncMs, meanMs: meanOf(costs.fsyncMs) },
    logBytes: size(storage, ({ logBytes }) => logBytes),
    tileBytes: storage.reduce((sum, { tileBytes }) => sum + tileBytes, 0) / storage.length,
    archiveBytes: size(storage, ({ archiveBytes }) => archiveBytes),
    parquetBytes: size(storage, ({ parquetBytes }) => parquetBytes),
    httpBytes: size(network, ({ httpIn, httpOut }) => httpIn + httpOut),
    databaseBytes: size(network, ({ databaseIn, databaseOut }) => databaseIn + databaseOut),
    summary: {
      service: overShards(costs.reads, ({ serviceUs }) => serviceUs),
      database: overShards(costs.reads, ({ databaseUs }) => databaseUs),
    },
    rowBytes: costs.rowBytes,
    memory: toMemory(shards.quiet, footprint),
  }
  return { ...unit, growing: toGrowing(shards.quiet, unit) }
}

function fitLine(rows: LoadedRow[], pick: (row: LoadedRow) => number, rowCost: number): Line {
  const [commit, flush, key] = fit(
    rows.map(({ flushesPerCommit, keys }) => [1 / flushesPerCommit, 1, keys]),
    rows.map((row) => pick(row) - row.rows * rowCost),
    rows.map(pick),
  ) as [number, number, number]
  return { commit, flush, key }
}

/** Fits the busy cores of instances without load to the number of shards. */
function fitBaseCost(quiet: QuietRow[], pick: (row: QuietRow) => number): BaseCost {
  const idle = quiet.filter(({ flushesPerSecond }) => flushesPerSecond === 0)
  const [instance, shard] = fit(
    idle.map((row) => [1, row.shards]),
    idle.map((row) => pick(row) / row.instances),
  ) as [number, number]
  return { instance, shard }
}

function overShards<Row extends { shards: number }>(
  rows: Row[],
  pick: (row: Row) => number,
): BaseCost {
  const [instance, shard] = fit(
    rows.map(({ shards }) => [1, shards]),
    rows.map(pick),
  ) as [number, number]
  return { instance, shard }
}

/** Cost of batches, trees and heads of growing shards: a trickle's cost minus its flushes. */
function toGrowing(
  quiet: QuietRow[],
  { service, append, integrate, idle, row }: Omit<UnitCosts, 'growing'>,
): UnitCosts['growing'] {
  const trickles = quiet.filter(({ flushesPerSecond }) => flushesPerSecond > 0)
  const left = (pick: (one: QuietRow) => number, base: BaseCost, flushUs: number) => {
    const shares = trickles.map((one) => {
      const idleCores = one.instances * (base.instance + base.shard * one.shards)
      return (pick(one) - idleCores - (one.flushesPerSecond * flushUs) / 1e6) / one.shards
    })
    const mean = shares.reduce((sum, share) => sum + share, 0) / Math.max(1, shares.length)
    return Math.max(0, mean)
  }
  const lone = (line: Line) => costOf(line, 1, 1)
  return {
    service: left((one) => one.service, idle.service, lone(service) + row.service),
    database: left((one) => one.database, idle.database, lone(append) + integrate + row.database),
  }
}

function toMemory(quiet: QuietRow[], footprint?: Footprint): UnitCosts['memory'] {
  const { instance, shard } = overShards(quiet, ({ residentMb }) => residentMb)
  const sizes = footprint?.service ?? []
  const [, key = 0] = fit(
    sizes.map(({ apiKeys }) => [1, apiKeys]),
    sizes.map(({ startedMb, foldedMb }) => Math.max(startedMb, foldedMb)),
  )
  return { instance, shard, key }
}

/** Mean of a distribution that is linear between its quantiles. */
function meanOf(ms: number[]): number {
  let mean = 0
  for (let i = 1; i < ms.length; i++) {
    mean += ((ms[i - 1]! + ms[i]!) / 2) * (FSYNC_SHARES[i]! - FSYNC_SHARES[i - 1]!)
  }
  return mean
}
