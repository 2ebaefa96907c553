import { afterAll, beforeAll } from 'bun:test'
import { DimensionLimits } from '../../src/dimensions/limits.ts'
import type { CatalogRows } from '../../src/events/catalog-change.ts'
import type { PostedFlush } from '../../src/events/flush.ts'
import { Catalog } from '../../src/log/catalog/catalog.ts'
import { changeCatalog } from '../../src/log/catalog/change.ts'
import { refreshCatalog } from '../../src/log/catalog/refresh.ts'
import { Log } from '../../src/log/log.ts'
import type { AppendOutcome } from '../../src/log/queue.ts'
import { INTERVALS, type Intervals } from '../../src/platform/intervals.ts'
import { openPools } from '../../src/platform/postgres/pool.ts'
import { Registrar } from '../../src/registration/registrar.ts'
import { TEST_SHARDS, type TestDatabase, useDatabase } from './server.ts'

/** The log and the catalog of one instance, for tests that need no more of a service. */
export type TestLog = {
  shards: number
  database: TestDatabase
  append(posted: PostedFlush, options?: FlushOptions): Promise<AppendOutcome>
  /** Appends a flush of one API key, all of whose requests succeeded. */
  flush(id: number, requests: number, options?: FlushOptions): Promise<AppendOutcome>
  /** The number of unknown keys that the limit has left unknown. */
  limited(): number
  /** The number of values of appended flushes that are counted as `other`. */
  others(): number
  /** Upserts rows, and retires rows, in the catalog. Returns the position of the change. */
  change(upserted: CatalogRows, ended?: CatalogRows): Promise<number | null>
  stop(): Promise<void>
}

/** The idempotency key, and the name of the token, `dp` by default. */
type FlushOptions = { key?: string; source?: string }

export type TestLogOptions = {
  /** Called for each batch that failed. */
  onRefused?: (shard: number, error: unknown) => void
  /** Default: INTERVALS. */
  intervals?: Pick<Intervals, 'database' | 'log'>
  /** Register at most so many unknown keys per day. */
  registerPerDay?: number
  /** The limits on dimensions: values of each, and combinations of an account. */
  limits?: { dimensionValues?: number; combinations?: number }
}

export async function startTestLog(
  database: TestDatabase,
  { onRefused, intervals = INTERVALS, registerPerDay, limits = {} }: TestLogOptions = {},
): Promise<TestLog> {
  const pools = openPools(database.address, TEST_SHARDS, intervals.database)
  const catalog = new Catalog()
  const refresh = () => refreshCatalog(pools.append, catalog)
  await refresh()
  const writer = { sql: pools.append, catalog, refresh }
  let limited = 0
  const onLimit = (keys: number) => {
    limited += keys
  }
  let others = 0
  const dimensions = new DimensionLimits({
    ...{ sql: pools.append, background: pools.project, ...limits },
    onOthers: (values) => {
      others += values
    },
  })
  const log = new Log({
    sql: pools.append,
    shards: TEST_SHARDS,
    catalog,
    refreshCatalog: refresh,
    limitDimensions: dimensions.limit,
    onAppended: (shard, { recordedAt, events }) =>
      dimensions.noteAppended(shard, recordedAt, events),
    intervals: intervals.log,
    ...(onRefused && { onRefused }),
    ...(registerPerDay !== undefined && {
      registerUnknown: new Registrar({ writer, perDay: registerPerDay, onLimit }).register,
    }),
  })
  const append: TestLog['append'] = (posted, { key, source = 'dp' } = {}) =>
    log.append(posted, source, key ?? null)
  return {
    shards: TEST_SHARDS,
    database,
    append,
    limited: () => limited,
    others: () => others,
    flush: (id, requests, options) => {
      const entries = { ids: [id], requests: [requests], successes: [requests] }
      return append({ type: 'ApiKeyStatsFlushed', entries }, options)
    },
    change: (upserted, ended = {}) => changeCatalog(writer, 'admin', () => ({ upserted, ended })),
    stop: async () => {
      await log.stop()
      await pools.close()
    },
  }
}

/** A log for the tests of one file, with its own database. */
export function useLog(options: TestLogOptions = {}): TestLog {
  return useLogs(1, options)[0]!
}

/** Logs of several instances on one database, for the tests of one file. */
export function useLogs(instances: number, options: TestLogOptions = {}): TestLog[] {
  const database = useDatabase()
  const logs = Array.from({ length: instances }, () => ({}) as TestLog)
  beforeAll(async () => {
    for (const log of logs) Object.assign(log, await startTestLog(database, options))
  })
  afterAll(async () => {
    for (const log of logs) await log.stop?.()
  })
  return logs
}

/** Returns the position of an appended flush, `<shard>/<position>`; throws for any other outcome. */
export function positionOfOutcome(outcome: AppendOutcome): string {
  if (outcome.kind !== 'appended') throw new Error(`Not appended: ${JSON.stringify(outcome)}`)
  return `${outcome.shard}/${outcome.position}`
}
