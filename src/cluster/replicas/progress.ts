import { covers, type Positions } from '../../events/positions.ts'
import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import { catalogRows } from '../../read-model/projections/catalog-rows.ts'
import { CURRENT } from '../../read-model/projections/index.ts'
import type { Projection } from '../../read-model/projections/projection.ts'
import { usage } from '../../read-model/projections/usage.ts'

/**
 * How far a database has come, in positions per shard: the log, and what current reads and usage
 * reads reflect.
 */
export type Progress = { events: Positions; current: Positions; usage: Positions }

/** The progress of this kind that a database must have reached to serve a read. */
export type ReadRequirement = { kind: keyof Progress; positions: Positions }

/** The progress before anything is known. */
export const NO_PROGRESS: Progress = { events: [], current: [], usage: [] }

/** Reads all progress in one statement, so as of one moment. */
export async function readProgress(sql: Sql | Transaction): Promise<Progress> {
  const isOf = (projections: readonly Projection[]) =>
    sql`c.projection in ${sql(projections.map(({ name }) => name))}`
  const rows = await sql<{ events: string; current: string | null; usage: string | null }[]>`
    select
      coalesce((select max(e.position) from events e where e.shard = s.shard), -1) as events,
      min(c.position) filter (where ${isOf(CURRENT)}) as current,
      min(c.position) filter (where ${isOf([catalogRows, usage])}) as usage
    from shards s
      left join (
        select c.shard, c.projection, c.position
        from checkpoints c
          join projections p on p.projection = c.projection and p.generation = c.generation
      ) c on c.shard = s.shard
    group by s.shard
    order by s.shard`
  return {
    events: rows.map((row) => Number(row.events)),
    current: rows.map((row) => Number(row.current ?? -1)),
    usage: rows.map((row) => Number(row.usage ?? -1)),
  }
}

/** True if the progress meets the requirement. */
export function meets(progress: Progress, { kind, positions }: ReadRequirement): boolean {
  return covers(progress[kind], positions)
}

/** Counts the events through `all` that are not in `some` yet. */
export function countMissing(all: Positions, some: Positions): number {
  return all.reduce((sum, head, shard) => sum + Math.max(0, head - (some[shard] ?? -1)), 0)
}
