import { beforeAll, expect, test } from 'bun:test'
import pino from 'pino'
import { decodeEvent, hashPayload } from '../../../src/events/event.ts'
import { Outages } from '../../../src/platform/postgres/outages.ts'
import { openPools } from '../../../src/platform/postgres/pool.ts'
import { contentOf } from '../../../src/read-model/projections/entry.ts'
import { PROJECTIONS } from '../../../src/read-model/projections/index.ts'
import { createCheckpoints } from '../../../src/read-model/projector/checkpoint.ts'
import { FoldBatch } from '../../../src/read-model/projector/fold-batch.ts'
import { OWNS_ALL } from '../../../src/read-model/projector/ownership.ts'
import { usageGroup } from '../../../src/read-model/projector/projection-groups.ts'
import { ShardProjector } from '../../../src/read-model/projector/shard-projector.ts'
import { parameter, startBarrier } from '../../support/barrier.ts'
import { insertEvents } from '../../support/events.ts'
import { checkpointsOf } from '../../support/fold.ts'
import { TEST_INTERVALS } from '../../support/intervals.ts'
import { TEST_SHARDS, useDatabase, usePools } from '../../support/server.ts'
import { until } from '../../support/until.ts'

// Appends never wait for the projector, so many commits can follow while it reads the log.

/** Milliseconds until a projector that does not catch up is a failure. */
const PATIENCE_MS = 60_000
const HOUR_MS = 3_600_000

const PAYLOAD = '{"groups":[1],"counts":[1],"ids":[1],"requests":[3],"successes":[2]}'
const AT = '2026-01-31T12:00:00.000000+00:00'
const IDENTITY = { recordedAt: AT, payloadSha256s: [hashPayload(PAYLOAD)] }

const database = useDatabase()
const pools = usePools(database)
beforeAll(() => createCheckpoints(pools.project))

const insert = (count: number) =>
  insertEvents(database.owner, new Array<string>(count).fill(PAYLOAD), {
    ...{ type: 'ApiKeyStatsFlushed', recordedAt: AT },
  })

/** Returns the commit at a position, as it is handed over. */
function commitAt(position: number) {
  const event = decodeEvent('ApiKeyStatsFlushed', 1, new TextEncoder().encode(PAYLOAD))
  const entry = { ...contentOf(event, AT), position, recordedAt: AT }
  const previous = `${AT} ${hashPayload(PAYLOAD)}`
  return { ...IDENTITY, firstPosition: position, entries: [entry], previous }
}

test('the log is read until what was appended meanwhile follows without a gap', async () => {
  const barrier = await startBarrier(database.address, parameter(1))
  const { project, close } = openPools(barrier.address, TEST_SHARDS)
  try {
    await insert(2)
    const batch = new FoldBatch(0, PROJECTIONS, await checkpointsOf(pools.project, 0))
    // Committed after the first read has begun, and more than are buffered.
    for (let position = 2; position < 100; position++) batch.foldAppended(commitAt(position))
    const read = batch.readFromLog(project, { readEvents: 5_000, isEnough: () => false })
    // The read of what follows position 1.
    expect(await Promise.race([barrier.reached.then(() => 'reads on'), read])).toBe('reads on')
    await insert(98)
    barrier.release()
    expect(await read).toBe(false)
    batch.foldAppended(commitAt(100))
    expect({ position: batch.position, hasGap: batch.hasGap }).toEqual({
      position: 100,
      hasGap: false,
    })
  } finally {
    await close()
    await barrier.close()
  }
})

test('only what is missing is read: commits that wait for it are not', async () => {
  const batch = new FoldBatch(0, PROJECTIONS, await checkpointsOf(pools.project, 0))
  // They are not in the log, so they can't be read there.
  for (let position = 100; position < 150; position++) batch.foldAppended(commitAt(position))
  const read = batch.readFromLog(pools.project, { readEvents: 5_000, isEnough: () => false })
  expect(await read).toBe(false)
  expect({ position: batch.position, hasGap: batch.hasGap }).toEqual({
    position: 149,
    hasGap: false,
  })
})

test('a commit that is not in the log keeps no read going', async () => {
  const batch = new FoldBatch(0, PROJECTIONS, await checkpointsOf(pools.project, 0))
  batch.foldAppended(commitAt(130))
  expect(await batch.readFromLog(pools.project, { readEvents: 7, isEnough: () => false })).toBe(
    false,
  )
  expect({ position: batch.position, hasGap: batch.hasGap }).toEqual({ position: 99, hasGap: true })
})

test('a projector that writes rarely closes a gap before its time', async () => {
  const logger = pino({ level: 'silent' })
  const idleMs = { longest: HOUR_MS, standby: HOUR_MS }
  const projector = new ShardProjector(
    pools,
    0,
    { ...usageGroup(), idleMs, flushIntervalMs: HOUR_MS },
    OWNS_ALL,
    TEST_INTERVALS.projector,
    logger,
    new Outages(logger, { level: 'warn', begun: '', ended: '' }),
    null,
    (sql, batch) => batch.write(sql),
  )
  projector.start()
  try {
    expect(await projector.reach(99, PATIENCE_MS)).toBe(true)
    const [at] = await database.owner`select clock_timestamp()::text as time`
    await until(async () => {
      projector.noticeAppend(commitAt(125))
      const reads = await database.owner`
        select
        from pg_stat_activity a
        where a.datname = current_database() and a.application_name = 'tallybook project'
          and a.query like '%e.payload%' and a.query_start > ${at!.time}::text::timestamptz`
      return reads.length > 0
    })
  } finally {
    await projector.stop()
  }
})
