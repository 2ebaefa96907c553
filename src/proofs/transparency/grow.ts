import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import type { Frontier } from '../merkle/frontier.ts'
import { equalHashes, type Hash, splitHashes } from '../merkle/hash.ts'
import { TILE_HEIGHT, TILE_WIDTH } from '../merkle/tile.ts'
import { readTiles } from './tiles.ts'

/** A tree in memory and the hash of its last leaf, or null if that is unknown. */
export type KnownTree = { frontier: Frontier; lastLeaf: Hash | null }

/** Maximum leaves of one step: 16,384 roots of tiles, which take this thread about 10 ms. */
const STEP_LEAVES = TILE_WIDTH * TILE_WIDTH * 64

/**
 * Returns the tree grown to `size`, or by one bounded step towards it. Adds whole tiles by their
 * roots, so that a leaf costs this thread almost nothing. Returns null if the last leaf of the
 * known tree has changed in its tile. Throws MissingTile.
 */
export async function growTree(
  sql: Sql | Transaction,
  shard: number,
  { frontier: known, lastLeaf }: KnownTree,
  size: number,
): Promise<KnownTree | null> {
  const frontier = known.copy()
  const start = startOfTile(frontier.size)
  const to = size - start > STEP_LEAVES ? start + STEP_LEAVES : size
  let last = lastLeaf
  const readLeaves = async (position: number) => {
    const number = Math.floor(position / TILE_WIDTH)
    const width = Math.min(TILE_WIDTH, to - number * TILE_WIDTH)
    const [bytes] = await readTiles(sql, shard, [{ level: 0, number, width }])
    return splitHashes(bytes!)
  }
  if (frontier.size > 0) {
    const leaves = await readLeaves(frontier.size - 1)
    const at = (frontier.size - 1) % TILE_WIDTH
    if (last !== null && !equalHashes(leaves[at]!, last)) return null
    for (const leaf of leaves.slice(at + 1)) frontier.append(leaf)
    last = leaves.at(-1)!
  }
  if (frontier.size < to) {
    for (const root of await readRoots(sql, shard, frontier.size / TILE_WIDTH, to)) {
      frontier.appendSubtree(TILE_HEIGHT, root)
    }
    const leaves = await readLeaves(to - 1)
    if (frontier.size < to) for (const leaf of leaves) frontier.append(leaf)
    last = leaves.at(-1)!
  }
  return { frontier, lastLeaf: last === null ? null : Buffer.from(last) }
}

/** Reads the roots of the full tiles from `first` on that a tree of `to` leaves has. */
async function readRoots(
  sql: Sql | Transaction,
  shard: number,
  first: number,
  to: number,
): Promise<Hash[]> {
  const end = Math.floor(to / TILE_WIDTH)
  const tiles = []
  for (let number = Math.floor(first / TILE_WIDTH); number * TILE_WIDTH < end; number++) {
    tiles.push({ level: 1, number, width: Math.min(TILE_WIDTH, end - number * TILE_WIDTH) })
  }
  const read = await readTiles(sql, shard, tiles)
  return read.flatMap(splitHashes).slice(first % TILE_WIDTH)
}

const startOfTile = (position: number) => position - (position % TILE_WIDTH)
