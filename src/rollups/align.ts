import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { bookkeeping } from '../read-model/projections/bookkeeping.ts'
import { GRAINS } from '../read-model/projections/rolled-up.ts'
import { usage } from '../read-model/projections/usage.ts'
import type { Generation } from '../read-model/rebuild/generation.ts'
import { boundaryColumns, readBoundary } from './boundary.ts'
import { deleteForgotten, hasForgotten, readUnknownBefore } from './forget-unknown.ts'
import { moveUsage } from './roll-up.ts'

type Compared = Pick<Generation, 'projection' | 'generation' | 'replaces'>

/**
 * Moves and deletes rows of a new generation as was done with those of the live one, as `live` sees
 * it, so that both can be compared row by row. Returns false if that was not complete in the live
 * one; it is then, or soon.
 */
export async function align(
  live: Transaction,
  sql: Sql,
  compared: Compared,
  shards: readonly number[],
): Promise<boolean> {
  if (compared.projection === usage) return alignUsage(live, sql, compared, shards)
  return compared.projection === bookkeeping ? alignUnknown(live, sql, compared) : true
}

async function alignUnknown(
  live: Transaction,
  sql: Sql,
  { generation, replaces }: Compared,
): Promise<boolean> {
  const { before } = await readUnknownBefore(live, replaces)
  // An adoption of such a key leaves rows behind, too.
  if (await hasForgotten(live, replaces, before)) {
    await deleteForgotten(sql, replaces, before)
    return false
  }
  await sql`
    update checkpoints c
    set unknown_before = ${before}::timestamptz, unknown_deleted = ${before}::timestamptz
    where c.shard = 0 and c.projection = 'bookkeeping' and c.generation = ${generation}`
  return deleteForgotten(sql, generation, before)
}

async function alignUsage(
  live: Transaction,
  sql: Sql,
  { generation, replaces }: Compared,
  shards: readonly number[],
): Promise<boolean> {
  for (const shard of shards) {
    for (const grain of GRAINS) {
      const boundary = await readBoundary(live, { shard, generation: replaces }, grain)
      if (boundary === null) continue
      const { before, through, moved } = boundary
      if (moved !== before) {
        await moveUsage(sql, { shard, generation: replaces }, grain)
        return false
      }
      const columns = boundaryColumns(grain)
      await sql`
        update checkpoints c
        set ${sql(columns.before)} = ${before}::timestamptz, ${sql(columns.through)} = ${through}
        where c.shard = ${shard} and c.projection = 'usage' and c.generation = ${generation}`
      await moveUsage(sql, { shard, generation }, grain, { isLive: false })
    }
  }
  return true
}
