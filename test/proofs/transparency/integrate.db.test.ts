import { afterEach, beforeEach, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { openPools, type Pools } from '../../../src/platform/postgres/pool.ts'
import { integrateEvents } from '../../../src/proofs/transparency/integrate.ts'
import { parametersOf, runsOf, timeoutOf } from '../../property/runs.ts'
import { insertEmptyFlushes } from '../../support/events.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../../support/server.ts'
import { verify } from '../integrity/history.ts'

let database: TestDatabase
let pools: Pools

beforeEach(async () => {
  database = await createDatabase()
  pools = openPools(database.address, TEST_SHARDS)
})
afterEach(async () => {
  await pools.close()
  await database.drop()
})

/** Appends this number of events to the last shard, and returns that shard. */
async function append(count: number): Promise<number> {
  const shard = TEST_SHARDS - 1
  await insertEmptyFlushes(database.owner, shard, count)
  return shard
}

async function readTiles(shard: number): Promise<string[]> {
  const rows = await database.owner<{ tile: string }[]>`
    select concat_ws('/', t.level, t.number, octet_length(t.hashes) / 32) as tile
    from tiles t
    where t.shard = ${shard} and t.level = 0
    order by t.number`
  return rows.map(({ tile }) => tile)
}

async function readLeaves(shard: number): Promise<string> {
  const rows = await database.owner<{ hashes: string }[]>`
    select encode(t.hashes, 'hex') as hashes
    from tiles t
    where t.shard = ${shard} and t.level = 0
    order by t.number`
  return rows.map(({ hashes }) => hashes).join('')
}

const runs = runsOf(100)

test(
  `a leaf is the hash of the text that JSON.stringify makes, in ${runs} events`,
  async () => {
    const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0'))
    const times = [
      '2026-01-31T12:00:00+00:00',
      '2026-01-31T12:00:00.1+00:00',
      '1970-01-01T00:00:00.000001+00:00',
      '9999-12-31T23:59:59.999999+00:00',
    ]
    const event = fc.record({
      type: text,
      version: fc.integer({ min: -32_768, max: 32_767 }),
      recorded_at: fc.constantFrom(...times),
      source: text,
      idempotency_key: fc.option(text),
      position: fc.maxSafeNat(),
    })
    await fc.assert(
      fc.asyncProperty(event, async (event) => {
        const [row] = await database.owner<{ leaf: string }[]>`
          select encode(leaf_hash(
            7, ${event.position}, ${event.type}, ${event.version}::smallint,
            ${event.recorded_at}::text::timestamptz, ${event.source}, ${event.idempotency_key},
            sha256('x')
          ), 'hex') as leaf`
        const [seconds, fraction = ''] = event.recorded_at.replace('+00:00', '').split('.')
        const leaf = {
          shard: 7,
          position: event.position,
          type: event.type,
          version: event.version,
          recorded_at: `${seconds}.${fraction.padEnd(6, '0')}+00:00`,
          source: event.source,
          idempotency_key: event.idempotency_key,
          payload_sha256: createHash('sha256').update('x').digest('hex'),
        }
        const hash = createHash('sha256').update('\0').update(JSON.stringify(leaf))
        expect(row!.leaf).toBe(hash.digest('hex'))
      }),
      parametersOf(runs),
    )
  },
  timeoutOf(runs),
)

test('tiles have 256 leaves, the last one the remaining ones, and grow with the log', async () => {
  const shard = await append(300)
  expect(await integrateEvents(pools.project, shard)).toBe(300)
  expect(await readTiles(shard)).toEqual(['0/0/256', '0/1/44'])
  expect(await integrateEvents(pools.project, shard)).toBe(0)
  await append(212)
  expect(await integrateEvents(pools.project, shard)).toBe(212)
  expect(await readTiles(shard)).toEqual(['0/0/256', '0/1/256'])
  await append(1)
  expect(await integrateEvents(pools.project, shard)).toBe(1)
  expect(await readTiles(shard)).toEqual(['0/0/256', '0/1/256', '0/2/1'])
  const { first } = await verify(database)
  expect(first.filter(({ check }) => check === 'leaf' || check === 'tiles')).toEqual([])
})

test('bounded steps make the same tiles as a single step', async () => {
  const shard = await append(700)
  while ((await integrateEvents(pools.project, shard, 90)) === 90);
  const inSteps = await readLeaves(shard)
  expect(inSteps).toHaveLength(700 * 64)
  await database.owner`alter table tiles disable trigger user`
  await database.owner`delete from tiles`
  await database.owner`alter table tiles enable trigger user`
  await integrateEvents(pools.project, shard)
  expect(await readLeaves(shard)).toBe(inSteps)
})

test('each leaf is added once if many instances integrate at the same time', async () => {
  const shard = await append(2_000)
  const others = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const own = openPools(database.address, TEST_SHARDS)
      let added = 0
      for (let tries = 0; tries < 60; tries++) {
        added += await integrateEvents(own.project, shard, 37)
      }
      await own.close()
      return added
    }),
  )
  expect(others.reduce((sum, added) => sum + added, 0)).toBe(2_000)
  expect(await readLeaves(shard)).toHaveLength(2_000 * 64)
  const { first } = await verify(database)
  expect(first.filter(({ check }) => check === 'leaf' || check === 'tiles')).toEqual([])
})

// On Citus this can happen while a shard moves. Here a function that runs between lock and write
// does it.
const BETWEEN = {
  'tile of leaves': {
    level: 0,
    signature: `leaf_hash(integer, bigint, text, smallint, timestamptz, text, text, bytea)`,
  },
  'tile of roots': { level: 1, signature: 'tile_root(bytea)' },
}
for (const [tile, { level, signature }] of Object.entries(BETWEEN)) {
  test(`a step fails and changes nothing if another writer adds to its ${tile}`, async () => {
    const shard = await append(300)
    await integrateEvents(pools.project, shard)
    await append(400)
    const before = await readAllTiles(shard)
    const { owner } = database
    await owner.unsafe(`alter function ${signature} rename to hash_alone`)
    const types = signature.slice(signature.indexOf('('))
    const values = types.split(',').map((_, i) => `$${i + 1}`)
    await owner.unsafe(`
      create function ${signature} returns bytea language plpgsql set search_path = tallybook as $$
      begin
        update tiles t set hashes = t.hashes || sha256('another')
        where t.shard = ${shard} and t.level = ${level}
          and octet_length(t.hashes) = (
            select octet_length(b.hashes) from before b where b.level = ${level}
          );
        return hash_alone(${values});
      end $$`)
    await owner`
      create table before as select distinct on (t.level) t.level, t.hashes from tiles t
      where t.shard = ${shard} order by t.level, t.number desc`
    await owner`grant select on before to public`
    const step = integrateEvents(pools.project, shard)
    expect(await step.catch((error) => error.code)).toBe('40001')
    expect(await readAllTiles(shard)).toEqual(before)
  })
}

async function readAllTiles(shard: number): Promise<string[]> {
  const rows = await database.owner<{ tile: string }[]>`
    select concat_ws('/', t.level, t.number, encode(t.hashes, 'hex')) as tile
    from tiles t
    where t.shard = ${shard}
    order by t.level, t.number`
  return rows.map(({ tile }) => tile)
}

test('a step that meets a gap in the log is refused and adds no leaf', async () => {
  const shard = await append(10)
  await database.owner`alter table events disable trigger user`
  await database.owner`delete from events where shard = ${shard} and position = 5`
  await expect(integrateEvents(pools.project, shard)).rejects.toThrow('have a gap')
  expect(await readLeaves(shard)).toBe('')
})
