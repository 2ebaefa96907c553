import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { MAX_PROBLEMS, type Problem } from './problem.ts'

/**
 * Checks that the parked events of a shard are those that cannot be read (`unreadable` has their
 * reasons, by position), up to the position `folded`, in the snapshot of `sql`.
 */
export async function checkParked(
  sql: Transaction,
  shard: number,
  unreadable: ReadonlyMap<number, string>,
  folded: number,
): Promise<Problem[]> {
  const rows = await sql<{ position: string; reason: string }[]>`
    select p.position, p.reason from parked_events p where p.shard = ${shard}`
  const parked = new Map(rows.map(({ position, reason }) => [Number(position), reason]))
  const expected = new Map([...unreadable].filter(([position]) => position <= folded))
  const positions = [...new Set([...expected.keys(), ...parked.keys()])].sort((a, b) => a - b)
  return positions
    .filter((position) => expected.get(position) !== parked.get(position))
    .slice(0, MAX_PROBLEMS)
    .map((position) => ({
      check: 'parked',
      at: `${shard}/${position}`,
      expected: describe(expected.get(position)),
      found: describe(parked.get(position)),
    }))
}

const describe = (reason: string | undefined) =>
  reason === undefined ? 'not parked' : `parked: ${reason}`

/** Finds parked events of shards that do not exist. */
export async function checkParkedShards(sql: Sql): Promise<Problem[]> {
  const rows = await sql<{ shard: number; position: string; reason: string }[]>`
    select p.shard, p.position, p.reason
    from parked_events p
    where p.shard not in (select s.shard from shards s)
    order by p.shard, p.position
    limit ${MAX_PROBLEMS}`
  return rows.map(({ shard, position, reason }) => ({
    check: 'parked',
    at: `${shard}/${position}`,
    expected: 'not parked: there is no such shard',
    found: `parked: ${reason}`,
  }))
}
