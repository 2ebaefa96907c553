import type { Sql } from '../platform/postgres/pool.ts'
import { toMicroseconds } from '../platform/postgres/timestamp.ts'

/** A segment in the archive: its positions, its file, and times (RFC 3339). */
export type ArchivedSegment = {
  shard: number
  first: number
  /** The position after the last event. */
  end: number
  fileName: string
  fileBytes: number
  /** SHA-256 of the index, in hex. */
  indexSha256: string
  firstRecordedAt: string
  lastRecordedAt: string
  writtenAt: string
  /** When reads of the archive began; null if all reads go to the database. */
  leavingAt: string | null
  /** When its flushes left the database; null if they are there. */
  leftAt: string | null
}

/** Reads the segments of which the archive has a verified file, in order. */
export async function readArchived(sql: Sql): Promise<ArchivedSegment[]> {
  const rows = await sql<Row[]>`
    select
      a.shard, a.first_position, a.end_position, a.file_name, a.file_bytes,
      encode(a.index_sha256, 'hex') as index_sha256, ${sql.unsafe(TIMES)}
    from archived_segments a
    order by a.shard, a.first_position`
  return rows.map((row) => ({
    shard: row.shard,
    first: Number(row.first_position),
    end: Number(row.end_position),
    fileName: row.file_name,
    fileBytes: Number(row.file_bytes),
    indexSha256: row.index_sha256,
    firstRecordedAt: row.first_recorded_at,
    lastRecordedAt: row.last_recorded_at,
    writtenAt: row.written_at,
    leavingAt: row.leaving_at,
    leftAt: row.left_at,
  }))
}

/** Selects columns of `archived_segments a` with times: RFC 3339 in UTC, with microseconds. */
export const timesOf = (columns: readonly string[]) =>
  columns.map((column) => `${toMicroseconds(`a.${column}`)} as ${column}`).join(', ')

const TIMES = timesOf([
  ...['first_recorded_at', 'last_recorded_at', 'written_at', 'leaving_at', 'left_at'],
])

type Row = {
  shard: number
  first_position: string
  end_position: string
  file_name: string
  file_bytes: string
  index_sha256: string
  first_recorded_at: string
  last_recorded_at: string
  written_at: string
  leaving_at: string | null
  left_at: string | null
}

/** After so many times `refreshMs`, reads wait for an answer to what is in the archive. */
const MAX_AGE = 3

/**
 * Milliseconds for which a segment is marked before its flushes leave the database. A read that was
 * decided when it was not marked waits for a connection in between, and an event loop may be held
 * up: by then none looks for them in the database.
 */
export const LEAVING_MS = 300_000

/** Knows which segments are read from the archive. */
export class Registry {
  #segments: ReadonlyMap<number, readonly ArchivedSegment[]> = new Map()
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | null = null

  /** Asks again after `refreshMs`. */
  constructor(
    private readonly sql: Sql,
    private readonly refreshMs: number,
  ) {}

  /**
   * Returns the segments of a shard that are read from the archive, in order. Throws
   * TemporarilyUnavailable if the database has not told which they are for too long.
   */
  async of(shard: number): Promise<readonly ArchivedSegment[]> {
    const age = performance.now() - this.#readAt
    if (age > this.refreshMs) {
      this.#reading ??= this.refresh().finally(() => {
        this.#reading = null
      })
      if (age > MAX_AGE * this.refreshMs) await this.#reading
      else this.#reading.catch(() => {})
    }
    return this.#segments.get(shard) ?? NONE
  }

  /** Reads them now. */
  async refresh(): Promise<void> {
    const began = performance.now()
    const segments = await readArchived(this.sql)
    const isLeaving = segments.filter(({ leavingAt }) => leavingAt !== null)
    this.#segments = Map.groupBy(isLeaving, ({ shard }) => shard)
    this.#readAt = began
  }
}

const NONE: readonly ArchivedSegment[] = []
