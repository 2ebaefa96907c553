import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { Event } from '../../../src/events/event.ts'
import { openPools, type Pools } from '../../../src/platform/postgres/pool.ts'
import { contentOf } from '../../../src/read-model/projections/entry.ts'
import { PROJECTIONS } from '../../../src/read-model/projections/index.ts'
import { TEST_SHARDS, useDatabase } from '../../support/server.ts'

// Invariant 5: a projection is the fold of the log, however its events are split into batches.

const database = useDatabase()
let pools: Pools

beforeAll(async () => {
  pools = openPools(database.address, TEST_SHARDS)
})

afterAll(() => pools.close())

/** A pseudorandom sequence, so that a failure can be reproduced. */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function makeEvent(random: (below: number) => number): Event {
  const count = () => [0, 0, 1, random(1_000), Number.MAX_SAFE_INTEGER][random(5)]!
  const column = <Value>(length: number, value: () => Value) => Array.from({ length }, value)
  const length = random(6)
  const id = 1 + random(5)
  switch (random(3)) {
    case 0: {
      const requests = column(length, count)
      const flush = {
        groups: length === 0 ? [] : [[null, 0, 1, 2][random(4)]!],
        counts: length === 0 ? [] : [length],
        ids: column(length, () => 1 + random(5)),
        requests,
        successes: requests.map((max) => random(max + 1)),
      }
      return { type: 'ApiKeyStatsFlushed', data: flush }
    }
    case 1: {
      const flush = {
        hashes: column(length, () => ['a', 'b', 'c"\\,{}', 'null'][random(4)]!),
        requests: column(length, count),
        tokens: column(length, count),
        last_accessed_at: column(length, () => random(3) * random(800_000_000)),
        quota_tracked: column(length, () => [null, true, false][random(3)]!),
      }
      return { type: 'KeyStatsFlushed', data: flush }
    }
    default: {
      const rows = {
        provider_groups: [{ id, name: [null, 'openai', 'a"\\,{}', 'null'][random(4)]! }],
        api_keys: [{ id, group_id: random(3), name: null }],
        keys: [{ token_hash: `k${id}`, quota_limit: random(9) - 1, name: null }],
      }
      const change = random(3) > 0 ? { upserted: rows, ended: {} } : { upserted: {}, ended: rows }
      return { type: 'CatalogChanged', data: change }
    }
  }
}

/** Folds the events into a generation of every projection, in batches of the given sizes. */
async function project(events: Event[], generation: number, size: () => number): Promise<void> {
  for (let first = 0; first < events.length; ) {
    const end = Math.min(first + size(), events.length)
    for (const projection of PROJECTIONS) {
      const fold = projection.createFold()
      for (let i = first; i < end; i++) {
        const place = { position: i, recordedAt: recordedAt(i) }
        fold.add({ ...contentOf(events[i]!, place.recordedAt), ...place })
      }
      await pools.project.begin((transaction) =>
        Promise.all([
          ...fold.write(transaction, { shard: 0, generation, after: first - 1, position: end - 1 }),
        ]),
      )
    }
    first = end
  }
}

const recordedAt = (i: number) => new Date(1_700_000_000_000 + i * 1_000).toISOString()

const TABLES = PROJECTIONS.flatMap(({ tables }) => tables)

/** Creates the partitions of the generations, in tables that have one per generation. */
async function makeGenerations(...generations: number[]): Promise<void> {
  for (const { name, fillfactor } of TABLES) {
    if (fillfactor === null) continue
    for (const generation of generations) {
      await database.owner`select create_generation(${name}, ${generation}, ${fillfactor})`
    }
  }
}

/** Returns every row of a generation as text. */
async function readRows(generation: number): Promise<string[]> {
  const rows: string[] = []
  for (const { name } of TABLES) {
    // The number of snapshots depends on the batches; the newest is the same.
    const newest = name.endsWith('_snapshots')
      ? `and t.position = (select max(position) from ${name} where generation = ${generation})`
      : ''
    const found = await database.owner.unsafe<{ row: string }[]>(
      `select to_jsonb(t) - 'generation' as row from ${name} t
       where t.generation = ${generation} ${newest}`,
    )
    rows.push(...found.map(({ row }) => `${name} ${JSON.stringify(row)}`))
  }
  return rows.sort()
}

for (const seed of [1, 2, 3]) {
  test(`one batch, batches of one and random ones write the same rows (seed ${seed})`, async () => {
    const random = randomOf(seed)
    const events = Array.from({ length: 120 }, () => makeEvent(random))
    const generation = seed * 10
    await makeGenerations(generation, generation + 1, generation + 2)
    await project(events, generation, () => events.length)
    await project(events, generation + 1, () => 1)
    await project(events, generation + 2, () => 1 + random(20))
    const rows = await readRows(generation)
    expect(rows.length).toBeGreaterThan(10)
    expect(await readRows(generation + 1)).toEqual(rows)
    expect(await readRows(generation + 2)).toEqual(rows)
  })
}

// Invariant 6: counters commute, so no order between shards is needed.
test('counters are the same whatever the order of the batches', async () => {
  const random = randomOf(4)
  const events = Array.from({ length: 120 }, () => makeEvent(random)).filter(
    ({ type }) => type !== 'CatalogChanged',
  )
  await makeGenerations(40, 41)
  await project(events, 40, () => 7)
  await project(events.toReversed(), 41, () => 3)
  // Unknown keys are numbered, first seen and last seen in the order of the events.
  const readUnordered = async (generation: number) =>
    (await readRows(generation)).filter((row) => !row.startsWith('unknown_keys '))
  const rows = await readUnordered(40)
  expect(rows.length).toBeGreaterThan(5)
  expect(await readUnordered(41)).toEqual(rows)
})
