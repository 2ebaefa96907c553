import type { Subtree } from './tree.ts'

/** Hashes of a full tile, and the height of the tree that stands on them. */
export const TILE_WIDTH = 256
export const TILE_HEIGHT = 8

/**
 * A tile as C2SP tlog-tiles has it: the `width` hashes from `number` × 256 on, of the complete
 * subtrees of 256^level leaves. 256 hashes are a full tile, fewer a partial one.
 */
export type Tile = { level: number; number: number; width: number }

/** Where the hash of a subtree is made from: `count` hashes of a tile, from `offset` on. */
export type TilePart = { tile: Tile; offset: number; count: number }

/** How many hashes a level has, in full tiles and a partial one, in a tree of `size` leaves. */
export function levelWidth(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level)
}

/** The tile that holds a subtree of a tree of `size` leaves, as wide as it is in that tree. */
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
 * A tile's path below the log's prefix, `tile/<L>/<N>[.p/<W>]`, or that of the entries of a tile of
 * level 0, `tile/entries/<N>[.p/<W>]`:
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

/** Reads such a path; null where it isn't the one way to write it. */
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
