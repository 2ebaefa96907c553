import { FSYNC_SHARES } from '../scale/fsync.ts'
import type { Costs } from '../sections/costs.ts'
import type { Footprint } from '../sections/footprint.ts'
import type { LoadedRow, QuietRow, Shards } from '../sections/shards.ts'
import { fit } from './fit.ts'

/** What a flush takes: so much a commit that it shares with others, itself, and each key. */
export type Line = { commit: number; flush: number; key: number }

/** Without a commit: a flush and each of its keys. */
export type Size = { flush: number; key: number }

/** An instance, and each shard that it looks at; cores. */
export type Standing = { instance: number; shard: number }

/** What everything costs, from what was measured. Times are µs of a processor. */
export type UnitCosts = {
  /** The thread that runs the program, and all threads of an instance. */
  thread: Line
  service: Line
  /** The database's part of appending, its writers' part included. */
  append: Line
  generator: Line
  walBytes: Line
  /** A row of counters or usage that is written. */
  row: { service: number; database: number; walBytes: number }
  /** A leaf hash in the tree, by the database. */
  integrate: number
  /** Reading an event back and folding it, by an instance that didn't append it. */
  readBack: Size
  /** Cores with no load, and what a shard that grows each second takes besides. */
  idle: { service: Standing; database: Standing }
  growing: { service: number; database: number }
  /** Milliseconds: points of its distribution, by share, and the mean. */
  fsync: { shares: readonly number[]; ms: number[]; meanMs: number }
  logBytes: Size
  tileBytes: number
  archiveBytes: Size
  parquetBytes: Size
  /** Bytes of a flush: of clients, and between service and database. */
  httpBytes: Size
  databaseBytes: Size
  /** A read of the summary: so much, and each shard. */
  summary: { service: Standing; database: Standing }
  rowBytes: { counters: number; usage: number; snapshotPerId: number }
  /** Megabytes of an instance, each shard and each key. */
  memory: { instance: number; shard: number; key: number }
}

/** µs, bytes or cores of a flush among others. */
export const costOf = ({ commit, flush, key }: Line, flushesPerCommit: number, keys: number) =>
  commit / flushesPerCommit + flush + key * keys

export const sizeOf = ({ flush, key }: Size, keys: number) => flush + key * keys

/** All unit costs: fitted to what one shard and one instance took, and measured one by one. */
export function toUnitCosts(shards: Shards, costs: Costs, footprint?: Footprint): UnitCosts {
  const plain = shards.loaded.filter((row) => row.shards === 1 && row.instances === 1)
  // Of what a row costs by itself, as many are taken off as were written.
  const line = (of: (row: LoadedRow) => number, ofRow = 0) => fitLine(plain, of, ofRow)
  const [integrated, rowDatabase] = fit(
    plain.map((row) => [1, row.rows]),
    plain.map(({ projectUs }) => projectUs),
  ) as [number, number]
  const size = <Row extends { keys: number }>(rows: Row[], of: (row: Row) => number): Size => {
    const [flush, key] = fit(
      rows.map(({ keys }) => [1, keys]),
      rows.map(of),
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
      service: standing(shards.quiet, ({ service }) => service),
      database: standing(shards.quiet, ({ database }) => database),
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

function fitLine(rows: LoadedRow[], of: (row: LoadedRow) => number, ofRow: number): Line {
  const [commit, flush, key] = fit(
    rows.map(({ flushesPerCommit, keys }) => [1 / flushesPerCommit, 1, keys]),
    rows.map((row) => of(row) - row.rows * ofRow),
    rows.map(of),
  ) as [number, number, number]
  return { commit, flush, key }
}

/** Cores an instance with no load, by the shards that there are. */
function standing(quiet: QuietRow[], of: (row: QuietRow) => number): Standing {
  const idle = quiet.filter(({ flushesPerSecond }) => flushesPerSecond === 0)
  const [instance, shard] = fit(
    idle.map((row) => [1, row.shards]),
    idle.map((row) => of(row) / row.instances),
  ) as [number, number]
  return { instance, shard }
}

function overShards<Row extends { shards: number }>(
  rows: Row[],
  of: (row: Row) => number,
): Standing {
  const [instance, shard] = fit(
    rows.map(({ shards }) => [1, shards]),
    rows.map(of),
  ) as [number, number]
  return { instance, shard }
}

/** What is left of a trickle of lone flushes is for the passes, trees and heads of its shards. */
function toGrowing(
  quiet: QuietRow[],
  { service, append, integrate, idle, row }: Omit<UnitCosts, 'growing'>,
): UnitCosts['growing'] {
  const trickles = quiet.filter(({ flushesPerSecond }) => flushesPerSecond > 0)
  const left = (of: (one: QuietRow) => number, standing: Standing, flushUs: number) => {
    const shares = trickles.map((one) => {
      const still = one.instances * (standing.instance + standing.shard * one.shards)
      return (of(one) - still - (one.flushesPerSecond * flushUs) / 1e6) / one.shards
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

/** The mean of what lies between the points of a distribution. */
function meanOf(ms: number[]): number {
  let mean = 0
  for (let i = 1; i < ms.length; i++) {
    mean += ((ms[i - 1]! + ms[i]!) / 2) * (FSYNC_SHARES[i]! - FSYNC_SHARES[i - 1]!)
  }
  return mean
}
