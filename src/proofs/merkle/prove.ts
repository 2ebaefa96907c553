import { rootOfHashes } from './frontier.ts'
import { EMPTY_ROOT, type Hash, splitHashes } from './hash.ts'
import { formatTilePath, type Tile, tileOf } from './tile.ts'
import { consistencyRanges, inclusionRanges, joinSubtrees, type Range, subtreesOf } from './tree.ts'

/** Reads the hashes of tiles: `width` × 32 bytes each, in the requested order. */
export type ReadTiles = (tiles: Tile[]) => Promise<Uint8Array[]>

/**
 * Returns the hashes that prove that a leaf is in the tree of `size` leaves; see `rootOfInclusion`.
 */
export function proveInclusion(index: number, size: number, readTiles: ReadTiles): Promise<Hash[]> {
  return hashRanges(inclusionRanges(index, size), size, readTiles)
}

/** Returns the hashes that prove that a tree begins with its older tree; see `isConsistent`. */
export function proveConsistency(
  oldSize: number,
  size: number,
  readTiles: ReadTiles,
): Promise<Hash[]> {
  return hashRanges(consistencyRanges(oldSize, size), size, readTiles)
}

/** Returns the root of the tree of the first `size` leaves. */
export async function readRoot(size: number, readTiles: ReadTiles): Promise<Hash> {
  if (size === 0) return EMPTY_ROOT
  const [root] = await hashRanges([{ from: 0, to: size }], size, readTiles)
  return root!
}

/** Returns the roots of the complete subtrees of the tree of `size` leaves, left to right. */
export async function readPeaks(size: number, readTiles: ReadTiles): Promise<Hash[]> {
  const peaks = subtreesOf({ from: 0, to: size }).map(({ height, number }) => ({
    from: number * 2 ** height,
    to: (number + 1) * 2 ** height,
  }))
  return hashRanges(peaks, size, readTiles)
}

/** Returns the hash of each range. Reads each tile that holds them once. */
async function hashRanges(ranges: Range[], size: number, readTiles: ReadTiles): Promise<Hash[]> {
  const parts = ranges.map((range) => subtreesOf(range).map((subtree) => tileOf(subtree, size)))
  const tiles = new Map<string, Tile>()
  for (const { tile } of parts.flat()) tiles.set(formatTilePath(tile), tile)
  const read = await readTiles([...tiles.values()])
  const hashes = new Map([...tiles.keys()].map((path, i) => [path, splitHashes(read[i]!)]))
  return parts.map((subtrees) =>
    joinSubtrees(
      subtrees.map(({ tile, offset, count }) =>
        rootOfHashes(hashes.get(formatTilePath(tile))!.slice(offset, offset + count)),
      ),
    ),
  )
}
