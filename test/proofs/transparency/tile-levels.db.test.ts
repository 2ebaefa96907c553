import { expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import pino from 'pino'
import { openPools } from '../../../src/platform/postgres/pool.ts'
import type { Problem } from '../../../src/proofs/integrity/problem.ts'
import { TreeHeads } from '../../../src/proofs/transparency/heads.ts'
import { integrateEvents } from '../../../src/proofs/transparency/integrate.ts'
import { Integrator } from '../../../src/proofs/transparency/integrator.ts'
import { editLog, insertEmptyFlushes } from '../../support/events.ts'
import { TEST_INTERVALS } from '../../support/intervals.ts'
import { makeOrigin } from '../../support/origin.ts'
import { TEST_SHARDS, useDatabase, usePools } from '../../support/server.ts'
import { verify } from '../integrity/history.ts'

// The tiles of all levels are exactly those that C2SP tlog-tiles defines.

const SHARD = TEST_SHARDS - 1

const database = useDatabase()
const pools = usePools(database)

const append = (count: number) => insertEmptyFlushes(database.owner, SHARD, count)

async function integrate(limit: number): Promise<void> {
  while ((await integrateEvents(pools.project, SHARD, limit)) > 0);
}

type Tiles = Map<string, Buffer>

/** Returns all tiles of the shard by `level/number`. */
async function readTiles(): Promise<Tiles> {
  const rows = await database.owner<{ at: string; hashes: Buffer }[]>`
    select concat_ws('/', t.level, t.number) as at, t.hashes
    from tiles t
    where t.shard = ${SHARD}
    order by t.level, t.number`
  return new Map(rows.map(({ at, hashes }) => [at, hashes]))
}

/** Returns `level/number/width` of each tile, which is easier to compare than hashes. */
const widthsOf = (tiles: Tiles) => [...tiles].map(([at, hashes]) => `${at}/${hashes.length / 32}`)

/** MTH over leaf hashes, written as in RFC 6962, section 2.1. */
function treeHash(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 1) return leaves[0]!
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  const node = createHash('sha256').update(Buffer.from([1]))
  return node
    .update(treeHash(leaves.slice(0, k)))
    .update(treeHash(leaves.slice(k)))
    .digest()
}

/** Computes the tiles of a tree from its leaf hashes alone, by the specification's formula. */
function specifiedTiles(leaves: readonly Buffer[]): Tiles {
  const tiles: Tiles = new Map()
  for (let level = 0; 256 ** level <= leaves.length; level++) {
    const span = 256 ** level
    const hashes = Array.from({ length: Math.floor(leaves.length / span) }, (_, i) =>
      treeHash(leaves.slice(i * span, (i + 1) * span)),
    )
    for (let n = 0; n * 256 < hashes.length; n++) {
      tiles.set(`${level}/${n}`, Buffer.concat(hashes.slice(n * 256, (n + 1) * 256)))
    }
  }
  return tiles
}

function leavesOf(tiles: Tiles): Buffer[] {
  const level0 = Buffer.concat([...tiles].flatMap(([at, h]) => (at.startsWith('0/') ? [h] : [])))
  return Array.from({ length: level0.length / 32 }, (_, i) => level0.subarray(i * 32, (i + 1) * 32))
}

/** Expects exactly the specified tiles, byte for byte. */
async function expectTilesOf(size: number): Promise<Tiles> {
  const tiles = await readTiles()
  const leaves = leavesOf(tiles)
  expect(leaves).toHaveLength(size)
  const specified = specifiedTiles(leaves)
  expect(widthsOf(tiles)).toEqual(widthsOf(specified))
  for (const [at, hashes] of specified) expect(tiles.get(at)!.equals(hashes)).toBeTrue()
  return tiles
}

/** Returns the problems that an integrity check reports in leaves and tiles. */
async function findProblems(): Promise<Problem[]> {
  // As autovacuum does in time. The check of the leaves is slow on tables without statistics.
  await database.owner`analyze`
  const { first } = await verify(database)
  return first.filter(({ check }) => check === 'leaf' || check === 'tiles')
}

const STEPS = [
  { size: 0, limit: 1 },
  { size: 1, limit: 1 },
  { size: 255, limit: 7 },
  { size: 256, limit: 1 },
  { size: 257, limit: 2_000 },
  { size: 512, limit: 2_000 },
  { size: 65_535, limit: 1_999 },
  { size: 65_536, limit: 1 },
  { size: 65_537, limit: 300 },
  { size: 70_000, limit: 256 },
]

// All tests share one log, and each continues where the previous one stopped: a tree of three
// levels needs 65,536 leaves.

test('tiles match the specification at each size of a growing log', async () => {
  expect(await integrateEvents(pools.project, SHARD)).toBe(0)
  let before = 0
  for (const { size, limit } of STEPS) {
    await append(size - before)
    await integrate(limit)
    const widths = widthsOf(await expectTilesOf(size))
    // A shard without events has no tile, and no tile follows a full one.
    if (size === 0) expect(widths).toEqual([])
    if (size === 512) expect(widths).toEqual(['0/0/256', '0/1/256', '1/0/2'])
    before = size
  }
})

test('70,000 leaves added in one step make the tiles that the specification lists', async () => {
  await editLog(database.owner, (sql) => sql`delete from tiles`)
  expect(await integrateEvents(pools.project, SHARD, 70_000)).toBe(70_000)
  expect(widthsOf(await expectTilesOf(70_000))).toEqual([
    ...Array.from({ length: 273 }, (_, n) => `0/${n}/256`),
    ...['0/273/112', '1/0/256', '1/1/17', '2/0/1'],
  ])
  expect(await findProblems()).toEqual([])
})

/** Leaves level 0 only, as older versions did. */
const removeLevels = () => editLog(database.owner, (sql) => sql`delete from tiles where level > 0`)

async function countRoots(): Promise<number> {
  const [row] = await database.owner<{ roots: number }[]>`
    select coalesce(sum(octet_length(t.hashes) / 32), 0)::integer as roots
    from tiles t
    where t.shard = ${SHARD} and t.level = 1`
  return row!.roots
}

test('a database with leaves only catches up in bounded steps while its log grows', async () => {
  await append(256 * 274 - 70_000)
  await integrate(100_000)
  await removeLevels()
  // Older versions inserted an empty tile as soon as the previous one was full.
  await database.owner`insert into tiles values (${SHARD}, 0, 274, '')`
  await append(1_000)
  const roots: number[] = []
  for (let calls = 0; calls < 20; calls++) {
    await integrateEvents(pools.project, SHARD, 640)
    roots.push(await countRoots())
    if (calls === 5) expect(await findProblems()).toEqual([])
  }
  expect(roots.slice(0, 3)).toEqual([21, 42, 63])
  expect(roots.slice(12, 15)).toEqual([273, 277, 277])
  await expectTilesOf(71_144)
})

test('a service makes the levels of an old database before it signs its tree', async () => {
  await removeLevels()
  const made = await makeOrigin()
  const heads = await TreeHeads.open(pools.project, TEST_SHARDS, made.origin)
  const logger = pino({ enabled: false })
  const integrator = new Integrator(
    pools.project,
    TEST_SHARDS,
    heads,
    TEST_INTERVALS.transparency,
    logger,
  )
  integrator.start()
  while (heads.newest(SHARD).size === 0) await Bun.sleep(5)
  expect(await countRoots()).toBe(277)
  await integrator.stop()
  await made.remove()
  await expectTilesOf(71_144)
})

test('each hash is added once if many instances integrate at the same time', async () => {
  await removeLevels()
  await append(2_000)
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      const own = openPools(database.address, TEST_SHARDS)
      for (let tries = 0; tries < 40; tries++) await integrateEvents(own.project, SHARD, 111)
      await own.close()
    }),
  )
  await expectTilesOf(73_144)
})

test('the root of a partial tile is refused', async () => {
  const roots = database.owner`select tile_root(sha256('x'))`
  await expect(roots.then()).rejects.toThrow('a tile of 32 bytes is not full')
})
