import { beforeAll, expect, test } from 'bun:test'
import { decodeEvent, hashPayload } from '../../../src/events/event.ts'
import { openPools } from '../../../src/platform/postgres/pool.ts'
import { contentOf } from '../../../src/read-model/projections/entry.ts'
import { PROJECTIONS } from '../../../src/read-model/projections/index.ts'
import { createCheckpoints } from '../../../src/read-model/projector/checkpoint.ts'
import { FoldBatch } from '../../../src/read-model/projector/fold-batch.ts'
import { parameter, startBarrier } from '../../support/barrier.ts'
import { insertEvents } from '../../support/events.ts'
import { checkpointsOf } from '../../support/fold.ts'
import { TEST_SHARDS, useDatabase, usePools } from '../../support/server.ts'

// Appends never wait for the projector, so many commits can follow while it reads the log.

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

/** Hands over the commit at a position. */
function handOver(batch: FoldBatch, position: number): void {
  const event = decodeEvent('ApiKeyStatsFlushed', 1, new TextEncoder().encode(PAYLOAD))
  const entry = { ...contentOf(event, AT), position, recordedAt: AT }
  const previous = `${AT} ${hashPayload(PAYLOAD)}`
  batch.foldAppended({ ...IDENTITY, firstPosition: position, entries: [entry], previous })
}

test('the log is read until what was appended meanwhile follows without a gap', async () => {
  const barrier = await startBarrier(database.address, parameter(1))
  const { project, close } = openPools(barrier.address, TEST_SHARDS)
  try {
    await insert(2)
    const batch = new FoldBatch(0, PROJECTIONS, await checkpointsOf(pools.project, 0))
    // Committed after the first read has begun, and more than are buffered.
    for (let position = 2; position < 20; position++) handOver(batch, position)
    const read = batch.readFromLog(project, { readEvents: 5_000, isEnough: () => false })
    // The read of what follows position 1.
    expect(await Promise.race([barrier.reached.then(() => 'reads on'), read])).toBe('reads on')
    await insert(18)
    barrier.release()
    expect(await read).toBe(false)
    handOver(batch, 20)
    expect({ position: batch.position, hasGap: batch.hasGap }).toEqual({
      position: 20,
      hasGap: false,
    })
  } finally {
    await close()
    await barrier.close()
  }
})

test('a commit that is not in the log keeps no read going', async () => {
  const batch = new FoldBatch(0, PROJECTIONS, await checkpointsOf(pools.project, 0))
  handOver(batch, 30)
  expect(await batch.readFromLog(pools.project, { readEvents: 7, isEnough: () => false })).toBe(
    false,
  )
  expect({ position: batch.position, hasGap: batch.hasGap }).toEqual({ position: 19, hasGap: true })
})
