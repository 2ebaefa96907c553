import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import pino from 'pino'
import { openPools, type Pools } from '../../../src/platform/postgres/pool.ts'
import { createCheckpoints } from '../../../src/read-model/projector/checkpoint.ts'
import { OWNS_ALL, type ShardOwnership } from '../../../src/read-model/projector/ownership.ts'
import { Projector } from '../../../src/read-model/projector/projector.ts'
import { insertEvent } from '../../support/events.ts'
import { checkpointsOf } from '../../support/fold.ts'
import { TEST_INTERVALS } from '../../support/intervals.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../../support/server.ts'

// A projector that doesn't own a shard is on standby for it: it asks the owner, waits, and folds
// only if the owner doesn't.

const SHARD = TEST_SHARDS - 1
const PAYLOAD = '{"groups":[1],"counts":[1],"ids":[1],"requests":[1],"successes":[1]}'
const LONG_MS = 60_000

type CatchUpRequest = { shard: number; group: string; position: number }

let database: TestDatabase
let pools: Pools
let projectors: Projector[]
/** True if the projector under test owns the shards; its requests go to `onRequest`. */
let owns: boolean
let requests: CatchUpRequest[]
let onRequest: (request: CatchUpRequest) => void

beforeEach(async () => {
  database = await createDatabase()
  pools = openPools(database.address, TEST_SHARDS)
  await createCheckpoints(pools.project)
  projectors = []
  owns = false
  requests = []
  onRequest = () => {}
})
afterEach(async () => {
  await Promise.all(projectors.map((projector) => projector.stop()))
  await pools.close()
  await database.drop()
})

function start(
  ownership: ShardOwnership = OWNS_ALL,
  intervals = TEST_INTERVALS.projector,
): Projector {
  const logger = pino({ level: 'silent' })
  const projector = new Projector(pools, TEST_SHARDS, logger, ownership, intervals)
  projector.start()
  projectors.push(projector)
  return projector
}

/** The standby must not help, even on a slow machine. */
const NO_HELP = { ...TEST_INTERVALS.projector, helpAfterMs: LONG_MS }

/** Starts the projector under test. */
function startStandby(intervals = NO_HELP): Projector {
  const ownership = {
    owns: () => owns,
    requestCatchUp: (request: CatchUpRequest) => {
      requests.push(request)
      onRequest(request)
    },
  }
  return start(ownership, intervals)
}

const append = () =>
  insertEvent(database.owner, { shard: SHARD, type: 'ApiKeyStatsFlushed', payload: PAYLOAD })

const positionsAsOf = (position: number) =>
  Array.from({ length: TEST_SHARDS }, (_, shard) => (shard === SHARD ? position : -1))

/** Returns the position of each projection. */
async function readPositions(): Promise<Record<string, number>> {
  const checkpoints = await checkpointsOf(pools.project, SHARD)
  return Object.fromEntries(checkpoints.map(({ projection, position }) => [projection, position]))
}

describe('while another projector owns the shard', () => {
  test('a standby asks the owner once for many readers, and the owner folds', async () => {
    const [standby, owned] = [startStandby(), start()]
    onRequest = (request) => owned.noticeRequest(request)
    const position = await append()
    const reads = Array.from({ length: 20 }, () =>
      standby.reach(positionsAsOf(position), LONG_MS, 'usage'),
    )
    expect(await Promise.all(reads)).toEqual(Array(20).fill(true))
    expect(requests).toEqual([{ shard: SHARD, group: 'usage', position }])
    expect((await readPositions()).usage).toBe(position)
  })

  test('a standby folds only what readers wait for, if the owner does not', async () => {
    const intervals = { ...NO_HELP }
    const standby = startStandby(intervals)
    // The owner's time is over as soon as it is asked.
    onRequest = () => {
      intervals.helpAfterMs = 0
    }
    const position = await append()
    expect(await standby.reach(positionsAsOf(position), LONG_MS)).toBe(true)
    expect(requests).toEqual([{ shard: SHARD, group: 'current', position }])
    const { api_key_counters, usage, snapshots } = await readPositions()
    expect({ api_key_counters, usage, snapshots }).toEqual({
      ...{ api_key_counters: position, usage: -1, snapshots: -1 },
    })
  })

  test('a standby does not fold because of its own appends', async () => {
    const standby = startStandby()
    const position = await append()
    const batch = {
      ...{ firstPosition: position, recordedAt: new Date().toISOString() },
      ...{ events: [], sources: [], payloadSha256s: [], previous: null },
    }
    for (let i = 0; i < 10; i++) standby.noticeAppend(SHARD, batch)
    expect(await standby.reach(positionsAsOf(position), 1)).toBe(false)
    expect((await readPositions()).api_key_counters).toBe(-1)
  })
})

test('a standby folds as soon as it owns the shard', async () => {
  const standby = startStandby()
  const position = await append()
  owns = true
  standby.noticeOwnershipChange()
  while ((await readPositions()).api_key_counters !== position) await Bun.sleep(5)
  expect(requests).toEqual([])
})

test('a request for a position beyond the log is dropped', async () => {
  const standby = startStandby()
  owns = true
  standby.noticeOwnershipChange()
  standby.noticeRequest({ shard: SHARD, group: 'usage', position: 10 ** 12 })
  standby.noticeRequest({ shard: 99, group: 'current', position: 1 })
  const position = await append()
  expect(await standby.reach(positionsAsOf(position), LONG_MS, 'usage')).toBe(true)
})
