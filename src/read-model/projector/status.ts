import type { Positions } from '../../events/positions.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'
import { PROJECTIONS } from '../projections/index.ts'

/** A projection's progress through the log. */
export type ProjectionStatus = {
  name: string
  generation: number
  checkpoint: Positions
  head: Positions
  /** Number of events not folded yet, over all shards. */
  lagEvents: number
  /** Age of the oldest of them, in seconds; 0 if there are none. */
  lagSeconds: number
  /** Fold version that made the live generation. */
  version: number
  /** When the live generation was rebuilt (RFC 3339); null if it never was. */
  lastRebuild: string | null
}

/** An event that could not be folded. */
export type ParkedEvent = { shard: number; position: number; reason: string }

/** Reads every projection's checkpoints and the heads of the log. */
export async function readProjectionStatus(sql: Sql): Promise<ProjectionStatus[]> {
  const rows = await sql<StatusRow[]>`
    select
      p.projection, p.generation, p.version,
      ${sql.unsafe(toMicroseconds('p.rebuilt_at'))} as rebuilt_at,
      c.position,
      coalesce((select max(e.position) from events e where e.shard = c.shard), -1) as head,
      coalesce((
        select extract(epoch from clock_timestamp() - e.recorded_at)::float8
        from events e
        where e.shard = c.shard and e.position = c.position + 1
      ), (
        -- If the event has left the database, it is as old as those next to it, or older.
        select extract(epoch from clock_timestamp() - a.last_recorded_at)::float8
        from archived_segments a
        where a.shard = c.shard and c.position + 1 >= a.first_position
          and c.position + 1 < a.end_position
      ), 0) as lag_seconds
    from projections p
      join checkpoints c on c.projection = p.projection and c.generation = p.generation
    order by p.projection, c.shard`
  return PROJECTIONS.map(({ name }) => {
    const own = rows.filter(({ projection }) => projection === name)
    const checkpoint = own.map(({ position }) => Number(position))
    const head = own.map((row) => Number(row.head))
    return {
      name,
      generation: own[0]?.generation ?? 0,
      version: own[0]?.version ?? 0,
      checkpoint,
      head,
      lagEvents: head.reduce((sum, position, shard) => sum + position - checkpoint[shard]!, 0),
      lagSeconds: Math.max(0, ...own.map((row) => row.lag_seconds)),
      lastRebuild: own[0]?.rebuilt_at ?? null,
    }
  })
}

/** Reads the first `limit` parked events, and how many there are in total. */
export async function readParkedEvents(
  sql: Sql,
  limit: number,
): Promise<{ count: number; events: ParkedEvent[] }> {
  const rows = await sql<{ shard: number; position: string; reason: string; count: string }[]>`
    select p.shard, p.position, p.reason, count(*) over () as count
    from parked_events p
    order by p.shard, p.position
    limit ${limit}`
  return {
    count: Number(rows[0]?.count ?? 0),
    events: rows
      .map((row) => ({ ...row, position: Number(row.position) }))
      .map(({ shard, position, reason }) => ({ shard, position, reason })),
  }
}

type StatusRow = {
  projection: string
  generation: number
  version: number
  rebuilt_at: string | null
  position: string
  head: string
  lag_seconds: number
}
