import type { Sql } from '../db/pool.ts'
import { type Attestation, decodeAttestation } from '../events/statement.ts'

/** An attestation in the log: where it stands, and what it says. */
export type StoredAttestation = {
  shard: number
  position: number
  /** RFC 3339. */
  recorded_at: string
} & Attestation

/** The newest attestation of a shard; null where it has none. As long as the log may be. */
export async function readNewestAttestation(
  sql: Sql,
  shard: number,
): Promise<StoredAttestation | null> {
  const [row] = await sql<{ position: string; recorded_at: string; payload: string }[]>`
    select
      e.position,
      to_char(e.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
        as recorded_at,
      e.payload::text as payload
    from events e
    where e.shard = ${shard} and e.type = 'ProjectionAttested'
    order by e.position desc
    limit 1`
  if (!row) return null
  const attestation = decodeAttestation(JSON.parse(row.payload))
  return { shard, position: Number(row.position), recorded_at: row.recorded_at, ...attestation }
}
