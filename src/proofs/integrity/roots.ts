import type { Sql } from '../../platform/postgres/pool.ts'
import { rootOfHashes } from '../merkle/frontier.ts'
import { equalHashes, splitHashes } from '../merkle/hash.ts'
import type { Problem, Problems } from './problem.ts'

/** Full tiles per statement: 512 kB of hashes, which take about 10 ms to hash. */
const PAGE_TILES = 64

/**
 * Checks that every hash above level 0 is the root of the full tile below it. Roots are computed in
 * TypeScript, which shares no code with `tile_root`. Tiles only grow, so they are read in pages,
 * with a short statement each. Tiles of which all leaves are before `from` are left out.
 */
export async function checkRoots(
  sql: Sql,
  shard: number,
  { problems, signal }: { problems: Problems; signal: AbortSignal },
  from = 0,
): Promise<void> {
  let after = { level: 0, number: '-1' }
  for (;;) {
    signal.throwIfAborted()
    const rows = await readPage(sql, shard, after, from)
    problems.add(rows.flatMap((row) => checkRoot(shard, row)))
    const last = rows.at(-1)
    if (last === undefined) return
    after = last
  }
}

/** A full tile, and the hash stored for it one level above. */
type TileRow = { level: number; number: string; hashes: Buffer; stored: Buffer }

/** Reads the tiles after `after` that have such a hash. `checkTiles` reports missing hashes. */
function readPage(
  sql: Sql,
  shard: number,
  after: { level: number; number: string },
  from: number,
): Promise<TileRow[]> {
  return sql<TileRow[]>`
    select
      t.level, t.number, t.hashes,
      substring(u.hashes from 32 * (t.number % 256)::integer + 1 for 32) as stored
    from tiles t
      join tiles u on u.shard = t.shard and u.level = t.level + 1 and u.number = t.number / 256
    where t.shard = ${shard}
      and (t.level, t.number) > (${after.level}::smallint, ${after.number}::bigint)
      and (t.number + 1) * power(256::numeric, t.level + 1) > ${from}::bigint
      and octet_length(t.hashes) = 8192
      and octet_length(u.hashes) >= 32 * (t.number % 256 + 1)
    order by t.level, t.number
    limit ${PAGE_TILES}`
}

function checkRoot(shard: number, { level, number, hashes, stored }: TileRow): Problem[] {
  const root = rootOfHashes(splitHashes(hashes))
  if (equalHashes(root, stored)) return []
  const above = BigInt(number) / 256n
  return [
    {
      check: 'tiles',
      at: `tiles ${shard}/${level + 1}/${above}`,
      expected: `${hex(root)}, the root of tile ${shard}/${level}/${number}`,
      found: hex(stored),
    },
  ]
}

const hex = (hash: Uint8Array) => Buffer.from(hash).toString('hex')
