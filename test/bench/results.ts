import type { Conditions, Results } from '../../bench/results.ts'
import { FSYNC_SHARES } from '../../bench/scale/fsync.ts'
import type { LoadedRow, QuietRow } from '../../bench/sections/shards.ts'

const CONDITIONS: Conditions = {
  date: '2026-01-31',
  machine: 'a machine',
  bun: '1',
  load: 'wrk',
  database: { server_version: '18' },
}

type Point = Pick<LoadedRow, 'shards' | 'instances' | 'keys' | 'connections' | 'flushesPerCommit'>

/** A load as it would be measured with the unit costs of makeCosts. */
function makeLoaded(point: Point): LoadedRow {
  const { keys, flushesPerCommit } = point
  const line = (commit: number, flush: number, key: number) =>
    commit / flushesPerCommit + flush + key * keys
  const rows = 0.5 * keys
  return {
    ...point,
    perSecond: 10_000,
    errors: 0,
    p50Ms: 2,
    p99Ms: 9,
    serviceUs: line(120, 25, 0.25) + rows,
    threadUs: line(100, 20, 0.2) + rows,
    appendUs: line(200, 5, 0.1),
    projectUs: 5 + 4 * rows,
    backgroundUs: 0,
    generatorUs: 10,
    busyCores: 1.9,
    fsyncMs: 0.2,
    walBytes: line(250, 300, 8) + 150 * rows,
    rows,
    connectionsOpen: 10,
  }
}

const makeQuiet = (shards: number, flushesPerSecond: number): QuietRow => ({
  ...{ shards, instances: 1, flushesPerSecond },
  service: 0.01 + 0.001 * shards + flushesPerSecond * 0.0002,
  database: 0.005 + 0.001 * shards + flushesPerSecond * 0.0003,
  walBytesPerSecond: 100,
  residentMb: 100 + shards,
})

/** Results of the sections `costs` and `shards`. */
export function makeResults(): Results {
  const one = { shards: 1, instances: 1 }
  const loaded = [1, 10, 100, 1_000].flatMap((keys) => [
    makeLoaded({ ...one, keys, connections: 1, flushesPerCommit: 1 }),
    makeLoaded({ ...one, keys, connections: 64, flushesPerCommit: 30 }),
  ])
  loaded.push(
    makeLoaded({ shards: 4, instances: 1, keys: 100, connections: 64, flushesPerCommit: 8 }),
    makeLoaded({ shards: 4, instances: 2, keys: 100, connections: 64, flushesPerCommit: 4 }),
  )
  const quiet = [1, 4].flatMap((shards) => [0, 50].map((rate) => makeQuiet(shards, rate)))
  const keys = [1, 100]
  return {
    shards: { conditions: CONDITIONS, result: { cores: 2, loaded, quiet } },
    costs: {
      conditions: CONDITIONS,
      result: {
        storage: keys.map((count) => ({
          keys: count,
          logBytes: 240 + 8 * count,
          tileBytes: 32,
          archiveBytes: 90 + 4 * count,
          parquetBytes: 5 + 5 * count,
          integrateUs: 5,
          foldUs: 2 + 0.05 * count,
        })),
        network: keys.map((count) => ({
          keys: count,
          httpIn: 240 + 55 * count,
          httpOut: 160,
          databaseIn: 230 + 29 * count,
          databaseOut: 20,
        })),
        fsyncMs: FSYNC_SHARES.map((share) => 0.1 + share / 10),
        reads: [
          { shards: 1, serviceUs: 600, databaseUs: 247 },
          { shards: 8, serviceUs: 600, databaseUs: 296 },
        ],
        row: { serviceUs: 1, databaseUs: 4, walBytes: 150 },
        rowBytes: { counters: 160, usage: 120, snapshotPerId: 13 },
      },
    },
  }
}
