import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { GRAINS } from '../read-model/projections/rolled-up.ts'
import type { Generation } from '../read-model/rebuild/generation.ts'
import { boundaryColumns, readBoundary } from './boundary.ts'
import { moveUsage } from './roll-up.ts'

/**
 * Moves the usage of a new generation as that of the live one, as `live` sees it, so that both can
 * be compared row by row. Returns false if the move of the live one was not complete; it is then,
 * or soon.
 */
export async function alignUsage(
  live: Transaction,
  sql: Sql,
  { generation, replaces }: Pick<Generation, 'generation' | 'replaces'>,
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
