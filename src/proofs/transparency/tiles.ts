import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'
import { HASH_BYTES } from '../merkle/hash.ts'
import { TILE_WIDTH, type Tile } from '../merkle/tile.ts'

/** The tile does not exist, or has fewer hashes. */
export class MissingTile extends Error {
  override name = 'MissingTile'

  constructor(shard: number, { level, number, width }: Tile) {
    super(`shard ${shard} has no tile ${level}/${number} of ${width} hashes`)
  }
}

/**
 * Reads the hashes of a shard's tiles, each of the requested width. If a tile has grown since, its
 * first hashes are those of the narrower tile. Throws MissingTile.
 */
export function readTiles(
  sql: Sql | Transaction,
  shard: number,
  tiles: readonly Tile[],
): Promise<Buffer<ArrayBuffer>[]> {
  return Promise.all(tiles.map((tile) => readTile(sql, shard, tile)))
}

async function readTile(
  sql: Sql | Transaction,
  shard: number,
  tile: Tile,
): Promise<Buffer<ArrayBuffer>> {
  const { level, number, width } = tile
  const [row] = await sql<{ hashes: Buffer<ArrayBuffer> }[]>`
    select substr(t.hashes, 1, ${width * HASH_BYTES}) as hashes
    from tiles t
    where t.shard = ${shard} and t.level = ${level} and t.number = ${number}`
  if (row?.hashes.length !== width * HASH_BYTES) throw new MissingTile(shard, tile)
  return row.hashes
}

/** Returns how many leaves a shard's tree has. */
export async function readTreeSize(sql: Sql, shard: number): Promise<number> {
  const [row] = await sql<{ size: string }[]>`
    select t.number * ${TILE_WIDTH} + octet_length(t.hashes) / ${HASH_BYTES} as size
    from tiles t
    where t.shard = ${shard} and t.level = 0
    order by t.number desc
    limit 1`
  return Number(row?.size ?? 0)
}

/** Expression: how many leaves the tree of a row `s` of `shards` has. */
export const treeSizeOf = (sql: Sql): Fragment => sql`
    coalesce(
      (
        select t.number * ${TILE_WIDTH} + octet_length(t.hashes) / ${HASH_BYTES}
        from tiles t
        where t.shard = s.shard and t.level = 0
        order by t.number desc
        limit 1
      ),
      0
    )`

/** Returns how many leaves each shard's tree has, by shard. */
export async function readTreeSizes(sql: Sql): Promise<number[]> {
  const rows = await sql<{ size: string }[]>`
    select ${treeSizeOf(sql)} as size
    from shards s
    order by s.shard`
  return rows.map(({ size }) => Number(size))
}

/**
 * True if level 1 lacks roots of full tiles, as in a database filled by older versions. Higher
 * levels are never behind the level below them.
 */
export async function isMissingRoots(sql: Sql, shard: number): Promise<boolean> {
  const [row] = await sql<{ is_missing: boolean }[]>`
    select coalesce((
      select t.number + octet_length(t.hashes) / ${TILE_WIDTH * HASH_BYTES}
      from tiles t
      where t.shard = ${shard} and t.level = 0
      order by t.number desc
      limit 1
    ), 0) > coalesce((
      select t.number * ${TILE_WIDTH} + octet_length(t.hashes) / ${HASH_BYTES}
      from tiles t
      where t.shard = ${shard} and t.level = 1
      order by t.number desc
      limit 1
    ), 0) as is_missing`
  return row!.is_missing
}
