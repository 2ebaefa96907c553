import { parseEntries } from '../merkle/entries.ts'
import { equalHashes, HASH_BYTES, type Hash, hashLeaf } from '../merkle/hash.ts'
import { TILE_WIDTH, type Tile } from '../merkle/tile.ts'
import type { Report } from './finding.ts'
import type { PublishedSource } from './source.ts'

/** The leaves of one tile as they are published: their hashes, and themselves. */
export type PublishedTile = { hashes: Hash[]; leaves: (string | undefined)[] }

/** The tile of level 0 that a leaf is in, as wide as it is in a tree of `size`. */
export function tileOfLeaf(position: number, size: number): Tile {
  const number = Math.floor(position / TILE_WIDTH)
  return { level: 0, number, width: Math.min(TILE_WIDTH, size - number * TILE_WIDTH) }
}

/** Reads a tile's hashes and entries, and says where these two differ. */
export async function readPublished(
  source: PublishedSource,
  shard: number,
  tile: Tile,
  report: Report,
): Promise<PublishedTile> {
  const [bytes] = await source.readTiles(shard, [tile])
  const hashes = Array.from({ length: tile.width }, (_, i) =>
    bytes!.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
  )
  const leaves = parseEntries(await source.readEntries(shard, tile))
  const first = tile.number * TILE_WIDTH
  if (leaves?.length !== tile.width) {
    const message = `the bundle of its entries has not ${tile.width} leaves`
    report({ kind: 'published', at: `${shard}/${first}`, message })
    return { hashes, leaves: [] }
  }
  for (const [i, leaf] of leaves.entries()) {
    if (equalHashes(hashLeaf(leaf), hashes[i]!)) continue
    const message = 'the published entry is not the one whose hash is in the tile'
    report({ kind: 'published', at: `${shard}/${first + i}`, message })
  }
  return { hashes, leaves }
}
