import { parseEntries } from '../merkle/entries.ts'
import { equalHashes, HASH_BYTES, type Hash, hashLeaf } from '../merkle/hash.ts'
import { TILE_WIDTH, type Tile } from '../merkle/tile.ts'
import type { Report } from './finding.ts'
import { NotServed, type PublishedSource } from './source.ts'

/** The tile of level 0 that a leaf is in, as wide as it is in a tree of `size`. */
export function tileOfLeaf(position: number, size: number): Tile {
  const number = Math.floor(position / TILE_WIDTH)
  return { level: 0, number, width: Math.min(TILE_WIDTH, size - number * TILE_WIDTH) }
}

/**
 * The leaf hashes of a tile as they are published, and a finding where the published entries differ
 * from them. Null where there are none, which is a finding too.
 */
export async function readPublished(
  source: PublishedSource,
  shard: number,
  tile: Tile,
  report: Report,
): Promise<Hash[] | null> {
  const first = tile.number * TILE_WIDTH
  const find = (position: number, message: string) =>
    report({ kind: 'published', at: `${shard}/${position}`, message })
  const orFind = (error: unknown) => {
    if (!(error instanceof NotServed)) throw error
    find(first, `it is not published: ${error.message}`)
    return null
  }
  const read = await source.readTiles(shard, [tile]).catch(orFind)
  const bundle = await source.readEntries(shard, tile).catch(orFind)
  if (read === null) return null
  const hashes = Array.from({ length: tile.width }, (_, i) =>
    read[0]!.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
  )
  const leaves = bundle === null ? null : parseEntries(bundle)
  if (leaves?.length === tile.width) {
    for (const [i, leaf] of leaves.entries()) {
      if (equalHashes(hashLeaf(leaf), hashes[i]!)) continue
      find(first + i, 'the published entry is not the one whose hash is in the tile')
    }
  } else if (bundle !== null) {
    find(first, `the bundle of its entries has not ${tile.width} leaves`)
  }
  return hashes
}
