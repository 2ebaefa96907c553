import { afterEach, beforeEach, expect, test } from 'bun:test'
import pino from 'pino'
import { EVENT_TYPES, hashPayload } from '../../../src/events/event.ts'
import { migrate } from '../../../src/platform/postgres/migrate.ts'
import { newestMigration } from '../../../src/platform/postgres/newer.ts'
import { connectAsOwner, openPools, type Pools } from '../../../src/platform/postgres/pool.ts'
import { PROJECTIONS } from '../../../src/read-model/projections/index.ts'
import { createCheckpoints } from '../../../src/read-model/projector/checkpoint.ts'
import { Projector } from '../../../src/read-model/projector/projector.ts'
import { countFlushes, untilWaiting } from '../../support/events.ts'
import { createOldDatabase } from '../../support/old-schema.ts'
import { TEST_SHARDS, type TestDatabase } from '../../support/server.ts'
import { startTestService } from '../../support/service.ts'

// A rolling upgrade: instances of the previous version append, fold and read while this version
// migrates the database, and after it.

/** The newest migration of the previous version. */
const BEFORE = 13

let database: TestDatabase
let pools: Pools
let projector: Projector

beforeEach(async () => {
  database = await createOldDatabase(BEFORE)
  await createCheckpoints(database.owner)
  pools = openPools(database.address, TEST_SHARDS)
  projector = new Projector(pools, TEST_SHARDS, pino({ level: 'silent' }))
  projector.start()
})
afterEach(async () => {
  await projector.stop()
  await pools.close()
  await database.drop()
})

/** Appends one flush as the previous version does. */
async function appendAsBefore(shard: number): Promise<void> {
  const payload =
    '{"groups":[null],"counts":[1],"ids":[1],"requests":[1],"failing":[],"failures":[]}'
  const [row] = await pools.append`
    select first_position, recorded_at, replayed_ordinals::text, replayed_positions::text
    from append_batch(
      ${shard}::integer, ${-1}::bigint, ${'ApiKeyStatsFlushed'}::text, ${'2'}::text,
      ${'dp'}::text, ${''}::text, ${payload}::text, ${hashPayload(payload)}::text
    )`
  expect(row!.first_position).not.toBeNull()
  projector.noticeAppend(shard)
}

/** Appends eight flushes at a time until `stop`, which returns how many were acknowledged. */
function appendConcurrently(): { more(count: number): Promise<void>; stop(): Promise<number> } {
  let isOver = false
  let appended = 0
  const posters = Array.from({ length: 8 }, async (_, i) => {
    while (!isOver) {
      // An append must not fail, because a client would have to retry it.
      await appendAsBefore(i % TEST_SHARDS)
      appended++
    }
  })
  const ended = Promise.all(posters)
  // `more` and `stop` report the rejection.
  ended.catch(() => {})
  return {
    /** Returns after `count` more appends; rejects if one was refused. */
    more: async (count) => {
      const target = appended + count
      while (appended < target) await Promise.race([ended, Bun.sleep(5)])
    },
    stop: async () => {
      isOver = true
      await ended
      return appended
    },
  }
}

const start = async () => {
  const owner = connectAsOwner(database.address)
  await migrate(owner, TEST_SHARDS).finally(() => owner.end())
}

test('an older instance appends while two newer ones migrate, and all is counted', async () => {
  const appends = appendConcurrently()
  await appends.more(100)
  await Promise.all([start(), start()])
  const newer = await startTestService({ database })
  await appends.more(100)
  const appended = await appends.stop()
  expect(await countFlushes(database.owner)).toBe(appended)
  // Both versions read all of it.
  expect(await projector.catchUp(60_000)).toBe(true)
  expect((await newer.fetch('admin', '/admin/apikey-stats/summary')).status).toBe(200)
  expect([...(await database.owner`select from parked_events`)]).toEqual([])
  await newer.stop()
})

test('a migration gives up waiting for a lock before appends wait behind it for long', async () => {
  const blocker = connectAsOwner(database.address)
  const connection = await blocker.reserve()
  // Like a user of psql who left a transaction open.
  await connection`begin`
  await connection`select from tallybook.flush_entries limit 1`
  const appends = appendConcurrently()
  const started = start()
  const [pid] = await untilWaiting(database.owner, 1)
  const isWaiting = async () => {
    const rows = await database.owner`
      select from pg_stat_activity where pid = ${pid!} and wait_event_type = 'Lock'`
    return rows.length > 0
  }
  while (await isWaiting()) await Bun.sleep(20)
  await appends.more(20)
  await connection`rollback`
  connection.release()
  await blocker.end()
  await started
  expect(await appends.stop()).toBe(await countFlushes(database.owner))
})

test('a read of several tables outlasts a migration that locks them', async () => {
  const reader = connectAsOwner(database.address)
  const connection = await reader.reserve()
  await connection`set search_path = tallybook`
  // In the order opposite to that of the migrations.
  const tables = ['keys', 'api_keys', 'provider_groups', 'checkpoints', 'shards']
  await connection`begin`
  await connection`select from keys`
  const started = start()
  await untilWaiting(database.owner, 1)
  for (const table of tables) await connection`select from ${connection(table)}`
  await connection`commit`
  connection.release()
  await reader.end()
  await started
})

test('a change of event types or projections comes with a migration', async () => {
  // Older code that finds an unknown event or generation reads the newest migration to learn
  // whether newer code made it (src/platform/postgres/newer.ts). If you change one of these, add a
  // migration (it may be empty) and put its number here.
  const projections = PROJECTIONS.map(({ name, version }) => [name, version])
  const events = Object.entries(EVENT_TYPES).map(([name, { read }]) => [
    name,
    Math.max(...Object.keys(read).map(Number)),
  ])
  expect({
    events: Object.fromEntries(events),
    projections: Object.fromEntries(projections),
  }).toEqual({
    events: KNOWN.events,
    projections: KNOWN.projections,
  })
  expect(newestMigration()).toBeGreaterThanOrEqual(KNOWN.since)
})

const KNOWN = {
  since: 34,
  events: {
    ApiKeyStatsFlushed: 6,
    KeyStatsFlushed: 4,
    CatalogChanged: 4,
    BalancesOpened: 1,
    TotalsAdjusted: 1,
    EventReversed: 3,
    UnknownKeysAdopted: 2,
    QuotaReset: 1,
    RuleCrossed: 1,
    RuleCleared: 1,
    TokenCreated: 1,
    TokenRevoked: 1,
    ProjectionAttested: 4,
    OriginChanged: 1,
    ShardsChanged: 2,
  } as const,
  projections: {
    api_key_counters: 1,
    provider_group_counters: 1,
    key_counters: 2,
    bookkeeping: 4,
    catalog: 2,
    usage: 1,
    snapshots: 1,
  },
}
