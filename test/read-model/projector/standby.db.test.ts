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

// A projector that doesn't tend a shard stands by: it asks, waits, and helps only where nobody else
// does.

const SHARD = TEST_SHARDS - 1
const PAYLOAD = '{"groups":[1],"counts":[1],"ids":[1],"requests":[1],"successes":[1]}'
const LONG_MS = 60_000

type Wanted = { shard: number; group: string; position: number }

let database: TestDatabase
let pools: Pools
let made: Projector[]
/** Whether the one under test tends the shards; what it asks for goes to `onAsked`. */
let owns: boolean
let asked: Wanted[]
let onAsked: (wanted: Wanted) => void

beforeEach(async () => {
  database = await createDatabase()
  pools = openPools(database.address, TEST_SHARDS)
  await createCheckpoints(pools.project)
  made = []
  owns = false
  asked = []
  onAsked = () => {}
})
afterEach(async () => {
  await Promise.all(made.map((projector) => projector.stop()))
  await pools.close()
  await database.drop()
})

function start(
  sharing: ShardOwnership = OWNS_ALL,
  intervals = TEST_INTERVALS.projector,
): Projector {
  const logger = pino({ level: 'silent' })
  const projector = new Projector(pools, TEST_SHARDS, logger, sharing, intervals)
  projector.start()
  made.push(projector)
  return projector
}

/** Nobody helps: a machine may be slow. */
const NO_HELP = { ...TEST_INTERVALS.projector, helpAfterMs: LONG_MS }

/** The one under test. */
function startStandby(intervals = NO_HELP): Projector {
  const sharing = {
    owns: () => owns,
    requestCatchUp: (wanted: Wanted) => {
      asked.push(wanted)
      onAsked(wanted)
    },
  }
  return start(sharing, intervals)
}

const append = () =>
  insertEvent(database.owner, { shard: SHARD, type: 'ApiKeyStatsFlushed', payload: PAYLOAD })

const positionsAsOf = (position: number) =>
  Array.from({ length: TEST_SHARDS }, (_, shard) => (shard === SHARD ? position : -1))

/** How far each projection is. */
async function readPositions(): Promise<Record<string, number>> {
  const checkpoints = await checkpointsOf(pools.project, SHARD)
  return Object.fromEntries(checkpoints.map(({ projection, position }) => [projection, position]))
}

describe('while another tends the shard', () => {
  test('it asks it once for many readers, and it is the other that folds', async () => {
    const [standby, owned] = [startStandby(), start()]
    onAsked = (wanted) => owned.noticeRequest(wanted)
    const position = await append()
    const reads = Array.from({ length: 20 }, () =>
      standby.reach(positionsAsOf(position), LONG_MS, 'usage'),
    )
    expect(await Promise.all(reads)).toEqual(Array(20).fill(true))
    expect(asked).toEqual([{ shard: SHARD, group: 'usage', position }])
    expect((await readPositions()).usage).toBe(position)
  })

  test('it folds itself what nobody does, for readers who wait, and nothing else', async () => {
    const intervals = { ...NO_HELP }
    const standby = startStandby(intervals)
    // The time that the other has is over as soon as it is asked.
    onAsked = () => {
      intervals.helpAfterMs = 0
    }
    const position = await append()
    expect(await standby.reach(positionsAsOf(position), LONG_MS)).toBe(true)
    expect(asked).toEqual([{ shard: SHARD, group: 'current', position }])
    const { api_key_counters, usage, snapshots } = await readPositions()
    expect({ api_key_counters, usage, snapshots }).toEqual({
      ...{ api_key_counters: position, usage: -1, snapshots: -1 },
    })
  })

  test('what it is told of its own appends is no reason to fold', async () => {
    const standby = startStandby()
    const position = await append()
    const batch = {
      ...{ firstPosition: position, recordedAt: new Date().toISOString() },
      ...{ events: [], payloadSha256s: [], previous: null },
    }
    for (let i = 0; i < 10; i++) standby.noticeAppend(SHARD, batch)
    expect(await standby.reach(positionsAsOf(position), 1)).toBe(false)
    expect((await readPositions()).api_key_counters).toBe(-1)
  })
})

test('it folds from the moment on that the shard is its own', async () => {
  const standby = startStandby()
  const position = await append()
  owns = true
  standby.noticeOwnershipChange()
  while ((await readPositions()).api_key_counters !== position) await Bun.sleep(5)
  expect(asked).toEqual([])
})

test('a wish for what is not in the log is dropped after a look', async () => {
  const standby = startStandby()
  owns = true
  standby.noticeOwnershipChange()
  standby.noticeRequest({ shard: SHARD, group: 'usage', position: 10 ** 12 })
  standby.noticeRequest({ shard: 99, group: 'current', position: 1 })
  const position = await append()
  expect(await standby.reach(positionsAsOf(position), LONG_MS, 'usage')).toBe(true)
})
