import { type Sql, type Transaction, transact } from '../../platform/postgres/pool.ts'
import { readSnapshotSize } from '../projections/snapshot-size.ts'
import { snapshots } from '../projections/snapshots.ts'
import { MAX_EVENTS } from '../queries/as-of-counters.ts'
import { snapshotDistance } from './snapshot-distance.ts'

/** How far apart snapshots may be: what the events between two of them cost to fold. */
export type Spacing = {
  /** At most so many times less than all the events after them. */
  ageFactor: number
  /** At most so much, in entries. */
  maxCost: number
  /** At most so many events. */
  maxEvents: number
}

/**
 * A read of the past folds what lies between two snapshots. The newest 4,096 are all kept. Before
 * that some 2,000 are kept for each time that the log doubles, until they are 16 million entries
 * apart: a second of folding, which is the most for a read of any age.
 *
 * A gateway whose fifty proxies post 100 of 10,000 keys every 5 s makes 81,000 in a year, of some
 * 250 kB each. It keeps 13,300 of them, and 5,000 a year after that: 4 bytes per event, of which
 * the tiles of the transparency log take 33.
 *
 * Rejected: no limit. Then their number would grow with the logarithm of the log alone, but a read
 * of ten years ago would fold for more than a minute.
 */
export const SPACING: Spacing = {
  ageFactor: 2_048,
  maxCost: 16_000_000,
  // Below MAX_EVENTS, above which a read is refused.
  maxEvents: MAX_EVENTS * 0.8,
}

/** Snapshots removed in one transaction: some 20 ms of work for 10,000 accounts. */
const REMOVED_AT_ONCE = 64

const TABLES = snapshots.tables.map(({ name }) => name)

/**
 * Removes some of the older snapshots of a shard, if those beside them are not too far apart.
 * Returns how many. The checkpoint is locked, so that two processes never remove snapshots beside
 * each other. Nothing else depends on which snapshots there are: if killed, nothing was removed.
 */
export function thinSnapshots(
  sql: Sql,
  shard: number,
  generation: number,
  spacing = SPACING,
): Promise<number> {
  return transact(sql, '', async (transaction) => {
    const locked = await transaction`
      select
      from checkpoints c
      where c.shard = ${shard} and c.projection = ${snapshots.name}
        and c.generation = ${generation}
      for update`
    if (locked.length === 0) return 0
    await estimateCosts(transaction, shard, generation)
    const removed = await findRemovable(transaction, shard, generation, spacing)
    if (removed.length === 0) return 0
    const isRemoved = transaction`s.position = any (${`{${removed.join(',')}}`}::bigint[])`
    for (const table of TABLES) {
      await transaction`
        delete from ${transaction(table)} s
        where s.shard = ${shard} and s.generation = ${generation} and ${isRemoved}`
    }
    return removed.length
  })
}

/** Removes the snapshots of a generation that is not live at other positions than these. */
export async function keepSnapshots(
  sql: Sql,
  shard: number,
  generation: number,
  positions: readonly number[],
): Promise<void> {
  const kept = `{${positions.join(',')}}`
  for (const table of TABLES) {
    await sql`
      delete from ${sql(table)} s
      where s.shard = ${shard} and s.generation = ${generation}
        and s.position <> all (${kept}::bigint[])`
  }
}

/** Returns positions of snapshots, of which no two are beside each other. */
async function findRemovable(
  transaction: Transaction,
  shard: number,
  generation: number,
  { ageFactor, maxCost, maxEvents }: Spacing,
): Promise<number[]> {
  // The first pages of provider groups have the costs. The first snapshot stays: none before it has
  // a cost from which its own distance would follow.
  const rows = await transaction<{ position: string; number: string }[]>`
    select n.position, n.number
    from (
      select
        s.position, row_number() over w as number,
        lead(s.position) over w - lag(s.position, 1, -1::bigint) over w as events,
        lead(s.cost) over w - lag(s.cost) over w as cost,
        max(s.cost) over () - lead(s.cost) over w as age
      from provider_group_snapshots s
      where s.shard = ${shard} and s.generation = ${generation} and s.first_id = 0
      window w as (order by s.position)
    ) n
    where n.events <= ${maxEvents} and n.cost <= least(n.age / ${ageFactor}, ${maxCost})
    order by n.position
    limit ${2 * REMOVED_AT_ONCE}`
  const removed: number[] = []
  let last = Number.NEGATIVE_INFINITY
  for (const { position, number } of rows) {
    if (Number(number) === last + 1 || removed.length === REMOVED_AT_ONCE) continue
    last = Number(number)
    removed.push(Number(position))
  }
  return removed
}

/**
 * Estimates the costs that an older release has not stored. Each of these snapshots was made when
 * the events since the one before cost as much as `snapshotDistance`, or a little more.
 */
async function estimateCosts(
  transaction: Transaction,
  shard: number,
  generation: number,
): Promise<void> {
  const isFirstPage = transaction`
    s.shard = ${shard} and s.generation = ${generation} and s.first_id = 0`
  const missing = await transaction`
    select from provider_group_snapshots s where ${isFirstPage} and s.cost is null limit 1`
  if (missing.length === 0) return
  const rows = await transaction<{ position: string; cost: string | null }[]>`
    select s.position, s.cost from provider_group_snapshots s
    where ${isFirstPage}
    order by s.position`
  const newest = Number(rows.at(-1)!.position)
  const each = snapshotDistance(await readSnapshotSize(transaction, shard, generation, newest))
  const known = rows.findIndex(({ cost }) => cost !== null)
  // Only differences matter: the costs before the first one that is known may be negative.
  let last = known < 0 ? 0 : Number(rows[known]!.cost) - (known + 1) * each
  const costs = rows.map(({ cost }, i) => {
    if (cost !== null) last = Number(cost)
    else if (known < 0 || i < known) last += each
    return last
  })
  await transaction`
    update provider_group_snapshots s
    set cost = f.cost
    from unnest(
      ${`{${rows.map(({ position }) => position).join(',')}}`}::bigint[],
      ${`{${costs.join(',')}}`}::bigint[]
    ) as f(position, cost)
    where ${isFirstPage} and s.cost is null and s.position = f.position`
}
