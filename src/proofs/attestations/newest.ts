import { tryDecodeEvent } from '../../events/event.ts'
import type { Attestation } from '../../events/statement.ts'
import type { Fragment, Sql } from '../../platform/postgres/pool.ts'
import { toMicroseconds } from '../../platform/postgres/timestamp.ts'

/** An attestation in the log, with its position. */
export type StoredAttestation = {
  shard: number
  position: number
  /** RFC 3339. */
  recorded_at: string
} & Attestation

/**
 * Returns the newest attestation of a shard, or null if there is none. It is found by an index,
 * however long the log is. An attestation that can't be decoded is ignored, as projections do, and
 * the one before it counts.
 */
export async function readNewestAttestation(
  sql: Sql,
  shard: number,
): Promise<StoredAttestation | null> {
  let before = Number.MAX_SAFE_INTEGER
  for (;;) {
    const [row] = await sql<Row[]>`
      select
        e.position,
        e.version,
        ${sql.unsafe(toMicroseconds('e.recorded_at'))}
          as recorded_at,
        e.payload::text as payload
      from events e
      where e.shard = ${shard} and e.position < ${before} and e.type = 'ProjectionAttested'
      order by e.position desc
      limit 1`
    if (!row) return null
    const position = Number(row.position)
    const attestation = read(row)
    if (attestation) return { shard, position, recorded_at: row.recorded_at, ...attestation }
    before = position
  }
}

/**
 * Returns the position through which the newest attestation of a shard covers its usage; null if
 * there is none.
 */
export async function readAttestedUsage(sql: Sql, shard: number): Promise<number | null> {
  const newest = await readNewestAttestation(sql, shard)
  const positions = newest?.tables.flatMap(({ table, position }) =>
    /_(?:usage|parts)$/.test(table) ? [position] : [],
  )
  return positions === undefined || positions.length === 0 ? null : Math.min(...positions)
}

/**
 * Returns when the newest attestation of any shard was recorded (Unix seconds), or null if there is
 * none.
 */
export async function readNewestAttestedAt(sql: Sql): Promise<number | null> {
  const [row] = await sql<{ at: number | null }[]>`
    select extract(epoch from max(n.recorded_at))::float8 as at
    from (select ${attestedAt(sql)} as recorded_at from shards s) n`
  return row!.at
}

/**
 * Returns the milliseconds since the newest attestation, or else the first event, was recorded;
 * null if the log is empty. Negative if the database's clock was set back since.
 */
export async function readAge(sql: Sql): Promise<number | null> {
  const [row] = await sql<{ age: number | null }[]>`
    select (extract(epoch from clock_timestamp() - coalesce(max(n.attested_at), min(n.first_at)))
      * 1000)::float8 as age
    from (
      select
        ${attestedAt(sql)} as attested_at,
        coalesce(
          (select e.recorded_at from events e where e.shard = s.shard and e.position = 0),
          (
            select a.first_recorded_at
            from archived_segments a
            where a.shard = s.shard and a.first_position = 0
          )
        ) as first_at
      from shards s
    ) n`
  return row!.age
}

/**
 * Expression: when the newest attestation of the shard `s` was recorded. It is found by an index.
 */
const attestedAt = (sql: Sql): Fragment => sql`(
  select e.recorded_at
  from events e
  where e.shard = s.shard and e.type = 'ProjectionAttested'
  order by e.position desc
  limit 1
)`

type Row = { position: string; version: number; recorded_at: string; payload: string }

function read(row: Row): Attestation | null {
  const event = tryDecodeEvent({ ...row, type: 'ProjectionAttested' })
  return event?.type === 'ProjectionAttested' ? event.data.attestation : null
}
