import { beforeAll, expect, test } from 'bun:test'
import { PROJECTIONS } from '../../../src/read-model/projections/index.ts'
import { type Checkpoint, createCheckpoints } from '../../../src/read-model/projector/checkpoint.ts'
import { FoldBatch } from '../../../src/read-model/projector/fold-batch.ts'
import { insertEvent, insertEvents } from '../../support/events.ts'
import { checkpointsOf, foldOnce } from '../../support/fold.ts'
import { useDatabase, usePools } from '../../support/server.ts'

// Invariant 5: the checkpoint's row is locked in the transaction that writes the counters, so a
// stale projector can only fail.

const PAYLOAD = '{"groups":[1],"counts":[1],"ids":[1],"requests":[3],"successes":[2]}'

const database = useDatabase()
const pools = usePools(database)
beforeAll(() => createCheckpoints(pools.project))

const append = () => insertEvent(database.owner, { type: 'ApiKeyStatsFlushed', payload: PAYLOAD })

async function readCounted(): Promise<number> {
  const [row] = await database.owner`
    select coalesce(sum(requests), 0)::integer as requests from api_key_counters`
  return row!.requests
}

const runBatch = (checkpoints: Checkpoint[]) => foldOnce(pools.project, 0, checkpoints)
const readStart = () => checkpointsOf(pools.project, 0)

test('a batch from a checkpoint that has moved since writes nothing', async () => {
  await append()
  const start = await readStart()
  expect(await runBatch(start)).toEqual({ written: true, position: 0, events: 1 })
  expect(await readCounted()).toBe(3)
  await append()
  expect(await runBatch(start)).toMatchObject({ written: false })
  expect(await readCounted()).toBe(3)
  const next = await readStart()
  expect(await runBatch(next)).toEqual({ written: true, position: 1, events: 1 })
  expect(await readCounted()).toBe(6)
})

test('of eight concurrent batches from one checkpoint one writes', async () => {
  await append()
  const start = await readStart()
  const outcomes = await Promise.all(Array.from({ length: 8 }, () => runBatch(start)))
  expect(outcomes.filter(({ written }) => written)).toHaveLength(1)
  expect(outcomes.filter(({ written }) => !written)).toHaveLength(7)
  expect(await readCounted()).toBe(9)
})

test('a projection that is behind catches up, and the others do not count twice', async () => {
  await append()
  await runBatch(await readStart())
  const { owner } = database
  await owner`
    update checkpoints set position = -1
    where shard = 0 and projection = 'provider_group_counters'`
  await owner`delete from provider_group_counters`
  await runBatch(await readStart())
  expect(await readCounted()).toBe(12)
  const [group] = await owner`select requests::integer as requests from provider_group_counters`
  expect(group).toEqual({ requests: 12 })
})

test('a batch that ends far behind other checkpoints leaves them where they are', async () => {
  const last = await insertEvents(database.owner, Array<string>(20).fill(PAYLOAD), {
    type: 'ApiKeyStatsFlushed',
  })
  await runBatch(await readStart())
  const counted = await readCounted()
  expect(counted).toBe(12 + 20 * 3)
  const { owner } = database
  await owner`
    update checkpoints set position = -1 where shard = 0 and projection = 'key_counters'`
  const positions: number[] = []
  for (let position = -1; position < last + 19; positions.push(position)) {
    const checkpoints = await readStart()
    const others = checkpoints.filter(({ projection }) => projection !== 'key_counters')
    expect(others.map((other) => other.position)).toEqual(others.map(() => last + 19))
    const one = new FoldBatch(0, PROJECTIONS, checkpoints)
    await one.readFromLog(pools.project, { readEvents: 7, isEnough: () => true })
    expect(await one.write(pools.project)).toBe(true)
    position = one.position
  }
  expect(positions.length).toBeGreaterThan(2)
  expect(await readCounted()).toBe(counted)
})

test('a batch without new events writes nothing', async () => {
  const start = await readStart()
  expect(await runBatch(start)).toMatchObject({ written: true, events: 0 })
  expect(await readStart()).toEqual(start)
})
