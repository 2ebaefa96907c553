import type { Positions } from '../../events/positions.ts'
import { openAt } from '../../log/archived.ts'
import type { Fragment, Sql, Transaction } from '../../platform/postgres/pool.ts'
import { type Progress, readProgress } from './progress.ts'

/** Identifies a server, and one of its databases. */
export type Identity = {
  /** Assigned by initdb, and the same on all replicas; null if the user may not read it. */
  system: string | null
  database: number
}

/** A server's role, its progress, and the last events of the log that it has. */
export type Description = { isReplica: boolean; progress: Progress; lastEvents: EventMark[] }

/** Why a reachable server must not be read from. */
export type Mismatch = 'other database' | 'other log' | 'not a replica' | 'shared sessions'

/** Distinguishes an event from any other that could be at its position. */
type EventMark = { shard: number; recorded_at: string; payload_sha256: string }

/**
 * Reads the identity of a database; `system` is null if the user may not read the server's
 * identifier.
 */
export async function readIdentity(sql: Sql): Promise<Identity> {
  const [row] = await sql<{ database: string; may: boolean }[]>`
    select
      d.oid::text as database,
      has_function_privilege('pg_control_system()', 'execute') as may
    from pg_database d
    where d.datname = current_database()`
  const database = Number(row!.database)
  if (!row!.may) return { system: null, database }
  // A separate statement: PostgreSQL checks the privilege even if a condition skips the call.
  const [control] = await sql<{ system: string }[]>`
    select c.system_identifier::text as system from pg_control_system() c`
  return { system: control!.system, database }
}

/** True if both identities are of the same database, as far as is known. */
export function isSame(one: Identity, other: Identity): boolean {
  const isKnown = one.system !== null && other.system !== null
  return one.database === other.database && (!isKnown || one.system === other.system)
}

/** Describes the server behind `sql`. */
export async function describeServer(sql: Sql): Promise<Description> {
  const [[row], progress] = await Promise.all([
    sql<{ is_replica: boolean }[]>`select pg_is_in_recovery() as is_replica`,
    readProgress(sql),
  ])
  const lastEvents = await readMarks(sql, progress.events)
  return { isReplica: row!.is_replica, progress, lastEvents }
}

/**
 * True if this log contains all events of the description. A copy that has diverged has last events
 * that it does not contain. Those of a replica that is days behind may be in the archive.
 */
export async function logContains(
  sql: Sql,
  { progress, lastEvents }: Description,
): Promise<boolean> {
  for (const mark of lastEvents) {
    const { shard } = mark
    const position = progress.events[shard]!
    const window = await openAt(sql, shard, position)
    const [own] = await window.read((source) =>
      selectMarks(source, source`e.shard = ${shard} and e.position = ${position}`),
    )
    if (own?.recorded_at !== mark.recorded_at) return false
    if (own.payload_sha256 !== mark.payload_sha256) return false
  }
  return true
}

/** Reads the events at these positions that the server itself has, whatever the archive has. */
async function readMarks(sql: Sql, positions: Positions): Promise<EventMark[]> {
  // Spelled out, because a join would read the whole log.
  const isAny = positions
    .map((position, shard) => sql`(e.shard = ${shard} and e.position = ${position})`)
    .reduce((all, one) => sql`${all} or ${one}`, sql`false`)
  return [...(await selectMarks(sql, isAny))]
}

const selectMarks = (sql: Sql | Transaction, condition: Fragment) => sql<EventMark[]>`
  select
    e.shard, e.recorded_at::text as recorded_at,
    encode(e.payload_sha256, 'hex') as payload_sha256
  from events e
  where ${condition}`
