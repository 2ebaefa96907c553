import type { Subtree } from './tree.ts'

/** The number of hashes in a full tile, and the height of the tree above them. */
export const TILE_WIDTH = 256
export const TILE_HEIGHT = 8

/**
 * A tile of C2SP tlog-tiles: `width` hashes of complete subtrees of 256^level leaves, starting at
 * subtree `number` × 256. A full tile has 256 hashes, a partial one fewer.
 */
export type Tile = { level: number; number: number; width: number }

/** The part of a tile from which the hash of a subtree follows: `count` hashes from `offset` on. */
export type TilePart = { tile: Tile; offset: number; count: number }

/** Returns how many hashes a level has, in full and partial tiles, in a tree of `size` leaves. */
export function levelWidth(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level)
}

/** Returns the tile that holds a subtree, with the width it has in a tree of `size` leaves. */
export function tileOf({ height, number }: Subtree, size: number): TilePart {
  const level = Math.floor(height / TILE_HEIGHT)
  const count = 2 ** (height % TILE_HEIGHT)
  const first = number * count
  const tileNumber = Math.floor(first / TILE_WIDTH)
  const width = Math.min(TILE_WIDTH, levelWidth(level, size) - tileNumber * TILE_WIDTH)
  return {
    tile: { level, number: tileNumber, width },
    offset: first % TILE_WIDTH,
    count,
  }
}

/**
 * Formats the path of a tile below the log's prefix, `tile/<L>/<N>[.p/<W>]`, or of the entries of a
 * level-0 tile, `tile/entries/<N>[.p/<W>]`:
 *
 *     tile/0/x001/x234/067.p/112
 */
export function formatTilePath(
  { level, number, width }: Tile,
  content: 'hashes' | 'entries' = 'hashes',
): string {
  const digits = String(number)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g)!
  const path = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/')
  const partial = width === TILE_WIDTH ? '' : `.p/${width}`
  return `tile/${content === 'entries' ? content : level}/${path}${partial}`
}

const TILE_PATH =
  /^tile\/(entries|\d|[1-5]\d|6[0-3])\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/

/** Parses such a path. Returns null if it is not in canonical form. */
export function parseTilePath(path: string): (Tile & { content: 'hashes' | 'entries' }) | null {
  const [, what, groups, partial] = TILE_PATH.exec(path) ?? []
  if (what === undefined || groups === undefined) return null
  const content = what === 'entries' ? 'entries' : 'hashes'
  const number = Number(groups.replaceAll(/[x/]/g, ''))
  const tile = {
    level: Number(content === 'entries' ? 0 : what),
    number,
    width: Number(partial ?? 256),
  }
  if (!Number.isSafeInteger(number) || formatTilePath(tile, content) !== path) return null
  return { ...tile, content }
}
