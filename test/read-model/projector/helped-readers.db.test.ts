import { afterAll, beforeAll, expect, test } from 'bun:test'
import pino from 'pino'
import { openPools, type Pools } from '../../../src/platform/postgres/pool.ts'
import { createCheckpoints } from '../../../src/read-model/projector/checkpoint.ts'
import { Projector } from '../../../src/read-model/projector/projector.ts'
import { insertEmptyFlushes } from '../../support/events.ts'
import { TEST_SHARDS, useDatabase } from '../../support/server.ts'

const WAIT_MS = 60_000
/** Milliseconds between two readers: less than the delay after which a standby helps. */
const BETWEEN_READERS_MS = 20

const database = useDatabase()
let pools: Pools
let standby: Projector

beforeAll(async () => {
  pools = openPools(database.address, TEST_SHARDS)
  await createCheckpoints(pools.project)
  // Another instance owns every shard, and hangs.
  const ownership = { owns: () => false, requestCatchUp: () => {} }
  standby = new Projector(pools, TEST_SHARDS, pino({ level: 'silent' }), ownership)
  standby.start()
})

afterAll(async () => {
  await standby.stop()
  await pools.close()
})

test('a reader gets help even though others keep arriving', async () => {
  await insertEmptyFlushes(database.owner, 0, 1)
  const reads: Promise<boolean>[] = []
  let answered = false
  while (!answered) {
    const read = standby.reach([0], WAIT_MS)
    void read.then(() => {
      answered = true
    })
    reads.push(read)
    await Bun.sleep(BETWEEN_READERS_MS)
  }
  expect(new Set(await Promise.all(reads))).toEqual(new Set([true]))
  expect(reads.length).toBeGreaterThan(1)
})
