import type { Transaction } from '../db/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/**
 * The tiles of a shard as a whole: none missing, all but the last full, and no leaf without an
 * event. That the log is ahead of them is no problem: they follow it a second behind.
 */
export async function checkTiles(sql: Transaction, shard: number): Promise<Problem[]> {
  const rows = await sql<TileRow[]>`
    select t.level, t.number, t.leaves, t.head, t.expected_number, t.is_last
    from (
      select
        t.level, t.number, octet_length(t.hashes) / 32 as leaves,
        coalesce(
          (select max(e.position) from events e where e.shard = ${shard}), -1
        ) as head,
        row_number() over (partition by t.level order by t.number) - 1 as expected_number,
        lead(t.number) over (partition by t.level order by t.number) is null as is_last
      from tiles t
      where t.shard = ${shard}
    ) t
    where t.level <> 0
      or t.number <> t.expected_number
      or not t.is_last and t.leaves < 256
      or t.number * 256 + t.leaves > t.head + 1
    order by t.level, t.number
    limit ${MAX_PROBLEMS}`
  return rows.map((row) => ({
    check: 'tiles',
    at: `tiles ${shard}/${row.level}/${row.number}`,
    ...describe(row),
  }))
}

type TileRow = {
  level: number
  number: string
  leaves: number
  head: string
  expected_number: string
  is_last: boolean
}

function describe(row: TileRow): { expected: string; found: string } {
  if (row.level !== 0) return { expected: 'no tile above level 0', found: 'one' }
  if (row.number !== row.expected_number) {
    return { expected: `tile ${row.expected_number}`, found: `tile ${row.number}` }
  }
  if (!row.is_last && row.leaves < 256) {
    return { expected: '256 leaves', found: `${row.leaves}` }
  }
  return {
    expected: `no leaf behind position ${row.head}`,
    found: `${row.leaves} leaves from position ${Number(row.number) * 256} on`,
  }
}
