import type { Sql } from '../platform/postgres/pool.ts'
import { timesOf } from './registry.ts'

/**
 * Where a segment is: `open` (not full), `full`, `written` (the archive has a verified copy),
 * `leaving` (reads take it from the archive, and soon its flushes leave the database), `archived`.
 */
export const SEGMENT_STATES = ['open', 'full', 'written', 'leaving', 'archived'] as const
/** One of SEGMENT_STATES. */
export type SegmentState = (typeof SEGMENT_STATES)[number]

/** A segment of the log: its positions, its size in the database, its file, and times. */
export type ListedSegment = {
  shard: number
  first_position: number
  /** The position after its last one. */
  end_position: number
  state: SegmentState
  /** With its indexes. In a database from before segments, shards share the first one. */
  database_bytes: number
  /** Null if the archive does not have it; so are the following. */
  file_name: string | null
  file_bytes: number | null
  first_recorded_at: string | null
  last_recorded_at: string | null
  written_at: string | null
  left_at: string | null
  /** When it was brought back last, if ever. */
  restored_at: string | null
}

type Row = Omit<
  ListedSegment,
  'first_position' | 'end_position' | 'database_bytes' | 'file_bytes'
> & {
  first_position: string
  end_position: string
  database_bytes: string
  file_bytes: string | null
}

const TIMES = timesOf([
  ...['first_recorded_at', 'last_recorded_at', 'written_at', 'left_at', 'restored_at'],
])

/** Expression: the state of a row `g` of `segments`, with its row `a` of `archived_segments`. */
const STATE = `
  case
    when a.left_at is not null then 'archived'
    when a.leaving_at is not null then 'leaving'
    when a.written_at is not null then 'written'
    when g.end_position <= h.head then 'full'
    else 'open'
  end`

/**
 * Reads the segments of the log, in order of shards and positions, after `after`.
 */
export async function readSegments(
  sql: Sql,
  { limit, after }: { limit: number; after: { shard: number; first: number } | null },
): Promise<ListedSegment[]> {
  const { shard, first } = after ?? { shard: -1, first: 0 }
  const rows = await sql<Row[]>`
    select
      g.shard, g.first_position, g.end_position, ${sql.unsafe(STATE)} as state,
      coalesce(pg_total_relation_size(to_regclass(segment_table(g.shard, g.first_position))), 0)
        as database_bytes,
      a.file_name, a.file_bytes, ${sql.unsafe(TIMES)}
    from segments g
      join heads() h on h.shard = g.shard
      left join archived_segments a
        on a.shard = g.shard and a.first_position = g.first_position
    where (g.shard, g.first_position) > (${shard}, ${first}::bigint)
    order by g.shard, g.first_position
    limit ${limit}`
  return rows.map((row) => ({
    ...row,
    first_position: Number(row.first_position),
    end_position: Number(row.end_position),
    database_bytes: Number(row.database_bytes),
    file_bytes: row.file_bytes === null ? null : Number(row.file_bytes),
  }))
}

/** The number of segments in each state, and the bytes of all files. */
export type SegmentCounts = { states: Record<SegmentState, number>; fileBytes: number }

/** Counts segments by state. */
export async function countSegments(sql: Sql): Promise<SegmentCounts> {
  const rows = await sql<{ state: SegmentState; segments: number; bytes: string | null }[]>`
    select ${sql.unsafe(STATE)} as state, count(*)::integer as segments, sum(a.file_bytes) as bytes
    from segments g
      join heads() h on h.shard = g.shard
      left join archived_segments a
        on a.shard = g.shard and a.first_position = g.first_position
    group by 1`
  const states = { open: 0, full: 0, written: 0, leaving: 0, archived: 0 }
  let fileBytes = 0
  for (const { state, segments, bytes } of rows) {
    states[state] = segments
    fileBytes += Number(bytes ?? 0)
  }
  return { states, fileBytes }
}
