import type { UnitCosts } from '../../bench/plan/unit-costs.ts'
import { FSYNC_SHARES } from '../../bench/scale/fsync.ts'

const FREE = { commit: 0, flush: 0, key: 0 }

/** Round unit costs, so that tests can state the results in advance. */
export function makeCosts(changes: Partial<UnitCosts> = {}): UnitCosts {
  return {
    thread: { commit: 100, flush: 20, key: 0.2 },
    service: { commit: 120, flush: 25, key: 0.25 },
    append: { commit: 200, flush: 5, key: 0.1 },
    generator: { commit: 0, flush: 10, key: 0 },
    walBytes: { commit: 250, flush: 300, key: 8 },
    row: { service: 1, database: 4, walBytes: 150 },
    integrate: 5,
    readBack: { flush: 2, key: 0.05 },
    idle: { service: { instance: 0.01, shard: 0 }, database: { instance: 0.005, shard: 0 } },
    growing: { service: 0, database: 0 },
    fsync: { shares: FSYNC_SHARES, ms: FSYNC_SHARES.map(() => 0.2), meanMs: 0.2 },
    logBytes: { flush: 240, key: 8 },
    tileBytes: 32,
    archiveBytes: { flush: 90, key: 4 },
    parquetBytes: { flush: 5, key: 5 },
    httpBytes: { flush: 400, key: 55 },
    databaseBytes: { flush: 250, key: 29 },
    summary: { service: { instance: 600, shard: 0 }, database: { instance: 240, shard: 7 } },
    rowBytes: { counters: 160, usage: 120, snapshotPerId: 20 },
    memory: { instance: 100, shard: 1, key: 0.0003 },
    ...changes,
  }
}

/** Unit costs with processor times of zero, except those in `changes`. */
export const makeFree = (changes: Partial<UnitCosts>): UnitCosts =>
  makeCosts({
    thread: FREE,
    service: FREE,
    append: FREE,
    generator: FREE,
    row: { service: 0, database: 0, walBytes: 0 },
    integrate: 0,
    readBack: { flush: 0, key: 0 },
    idle: { service: { instance: 0, shard: 0 }, database: { instance: 0, shard: 0 } },
    ...changes,
  })
