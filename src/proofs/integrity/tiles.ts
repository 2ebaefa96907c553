import type { Transaction } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/**
 * Checks the shape of a shard's tiles: on every level no tile is missing, all but the last are
 * full, no leaf lacks its event and no hash lacks its full tile below. `checkRoots` checks the
 * hashes.
 *
 * Two delays are not problems. Level 0 is up to a second behind the log. Level 1 has fewer hashes
 * than level 0 has full tiles while an old database catches up, and a running service makes the
 * hashes missing from its end from the tiles below. No step leaves a higher level behind the one
 * below it: on those levels every full tile has its hash.
 */
export async function checkTiles(sql: Transaction, shard: number): Promise<Problem[]> {
  return [...(await checkEach(sql, shard)), ...(await checkMissing(sql, shard))]
}

type TileRow = {
  level: number
  number: string
  width: number
  bound: string
  expected_number: string
  is_last: boolean
}

/** Checks every tile by itself, against the tile before it, and against the level below. */
async function checkEach(sql: Transaction, shard: number): Promise<Problem[]> {
  const rows = await sql<TileRow[]>`
    select t.level, t.number, t.width, t.bound, t.expected_number, t.is_last
    from (
      select
        t.level, t.number, octet_length(t.hashes) / 32 as width,
        case when t.level = 0 then h.leaves else coalesce(f.tiles, 0) end as bound,
        row_number() over (partition by t.level order by t.number) - 1 as expected_number,
        lead(t.number) over (partition by t.level order by t.number) is null as is_last
      from tiles t
        cross join (
          select coalesce(max(e.position), -1) + 1 as leaves from events e where e.shard = ${shard}
        ) h
        left join (${fullTiles(sql, shard)}) f on f.level = t.level - 1
      where t.shard = ${shard}
    ) t
    where t.number <> t.expected_number
      or not t.is_last and t.width < 256
      or t.number * 256 + t.width > t.bound
    order by t.level, t.number
    limit ${MAX_PROBLEMS}`
  return rows.map((row) => ({
    check: 'tiles',
    at: `tiles ${shard}/${row.level}/${row.number}`,
    ...describe(row),
  }))
}

function describe(row: TileRow): { expected: string; found: string } {
  if (row.number !== row.expected_number) {
    return { expected: `tile ${row.expected_number}`, found: `tile ${row.number}` }
  }
  const [hashes, place, below] =
    row.level === 0
      ? ['leaves', 'position', 'position']
      : ['hashes', 'hash', `the root of tile ${row.level - 1}`]
  if (!row.is_last && row.width < 256) {
    return { expected: `256 ${hashes}`, found: `${row.width}` }
  }
  return {
    expected: `no ${hashes} behind ${below} ${Number(row.bound) - 1}`,
    found: `${row.width} ${hashes} from ${place} ${Number(row.number) * 256} on`,
  }
}

/** Finds levels from 2 up that have fewer hashes than the level below has full tiles. */
async function checkMissing(sql: Transaction, shard: number): Promise<Problem[]> {
  const rows = await sql<{ level: number; expected: string; found: string }[]>`
    select f.level + 1 as level, f.tiles as expected, coalesce(h.hashes, 0) as found
    from (${fullTiles(sql, shard)}) f
      left join (
        select t.level, sum(octet_length(t.hashes) / 32) as hashes
        from tiles t
        where t.shard = ${shard}
        group by t.level
      ) h on h.level = f.level + 1
    where f.level > 0 and coalesce(h.hashes, 0) < f.tiles
    order by f.level
    limit ${MAX_PROBLEMS}`
  return rows.map(({ level, expected, found }) => ({
    check: 'tiles',
    at: `tiles ${shard}/${level}`,
    expected: `${expected} hashes, one a full tile of level ${level - 1}`,
    found,
  }))
}

/** Counts the full tiles on each level of a shard. */
const fullTiles = (sql: Transaction, shard: number) => sql`
  select t.level, count(*) as tiles
  from tiles t
  where t.shard = ${shard} and octet_length(t.hashes) = 8192
  group by t.level`
