import type { Positions } from '../../events/positions.ts'
import type { Fragment, Sql } from '../../platform/postgres/pool.ts'
import { type Progress, readProgress } from './progress.ts'

/** Which server this is, and which of its databases. */
export type Identity = {
  /** Made when the cluster was, and the same on all its replicas; null where nobody may know. */
  system: string | null
  database: number
}

/** What a server of the same database is, and the last events of the log that it has. */
export type Description = { isReplica: boolean; progress: Progress; lastEvents: EventMark[] }

/** Why a server that answers is not to be read from. */
export type Mismatch = 'other database' | 'other log' | 'not a replica' | 'shared sessions'

/** What tells an event from any other that could stand in its place. */
type EventMark = { shard: number; recorded_at: string; payload_sha256: string }

/** Which database this is; where its user may not see the server's identifier, only half of it. */
export async function readIdentity(sql: Sql): Promise<Identity> {
  const [row] = await sql<{ database: string; may: boolean }[]>`
    select
      d.oid::text as database,
      has_function_privilege('pg_control_system()', 'execute') as may
    from pg_database d
    where d.datname = current_database()`
  const database = Number(row!.database)
  if (!row!.may) return { system: null, database }
  // A statement of its own: the right is asked for even where a condition leaves the call out.
  const [control] = await sql<{ system: string }[]>`
    select c.system_identifier::text as system from pg_control_system() c`
  return { system: control!.system, database }
}

/** True for two servers of one database, as far as that may be known. */
export function isSame(one: Identity, other: Identity): boolean {
  const isKnown = one.system !== null && other.system !== null
  return one.database === other.database && (!isKnown || one.system === other.system)
}

/** What the server behind `sql` is, and how far it has come. */
export async function describeServer(sql: Sql): Promise<Description> {
  const [[row], progress] = await Promise.all([
    sql<{ is_replica: boolean }[]>`select pg_is_in_recovery() as is_replica`,
    readProgress(sql),
  ])
  const lastEvents = await readMarks(sql, progress.events)
  return { isReplica: row!.is_replica, progress, lastEvents }
}

/**
 * True where all that was described stands in this log. A copy that went its own way has last
 * events that don't.
 */
export async function logContains(
  sql: Sql,
  { progress, lastEvents }: Description,
): Promise<boolean> {
  const own = await readMarks(sql, progress.events)
  return lastEvents.every((mark) =>
    own.some(
      ({ shard, recorded_at, payload_sha256 }) =>
        shard === mark.shard &&
        recorded_at === mark.recorded_at &&
        payload_sha256 === mark.payload_sha256,
    ),
  )
}

/** The events at these positions, those that are there. */
async function readMarks(sql: Sql, positions: Positions): Promise<EventMark[]> {
  return [
    ...(await sql<EventMark[]>`
      select
        e.shard, e.recorded_at::text as recorded_at,
        encode(e.payload_sha256, 'hex') as payload_sha256
      from events e
      where ${matchesPositions(sql, positions)}`),
  ]
}

/** Events `e` at these positions. Spelled out: a join would read the whole log. */
export function matchesPositions(sql: Sql, positions: Positions): Fragment {
  return positions
    .map((position, shard) => sql`(e.shard = ${shard} and e.position = ${position})`)
    .reduce((all, one) => sql`${all} or ${one}`, sql`false`)
}
