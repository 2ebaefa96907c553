import { startOfQuarterHour } from '../../events/instant.ts'
import { SERVICE_EVENT_TYPES } from '../../events/statement.ts'
import { type AppendedServiceEvent, appendServiceEvent } from '../../log/append-event.ts'
import { readLeafEvents } from '../../log/read.ts'
import { type Sql, transact } from '../../platform/postgres/pool.ts'
import { digestTables } from './digest-tables.ts'
import { readNewestAttestation, type StoredAttestation } from './newest.ts'

/**
 * Attests the current projections of a shard. Returns null if the last attestation is younger than
 * `minAgeMs`, or if only service events were appended since. If several instances follow up the
 * same attestation, one of them appends and all get its position.
 */
export async function attestShard(
  sql: { read: Sql; append: Sql },
  shard: number,
  minAgeMs: number,
): Promise<AppendedServiceEvent | null> {
  const last = await readNewestAttestation(sql.read, shard)
  if (last !== null && isYoung(last, minAgeMs)) return null
  if (!(await hasGrown(sql.read, shard, last?.totals.position ?? -1))) return null
  const from = last === null ? null : await findUsageStart(sql.read, last)
  const after = last === null ? null : findBackdatedStart(last)
  const payload = await transact(
    sql.read,
    'isolation level repeatable read read only',
    (transaction) => digestTables(transaction, shard, { from, after }),
  )
  const about = `attestation after ${last?.position ?? -1}`
  return appendServiceEvent(sql.append, shard, { type: 'ProjectionAttested', payload }, about)
}

function isYoung({ recorded_at }: StoredAttestation, minAgeMs: number): boolean {
  const age = Date.now() - Date.parse(recorded_at)
  return age >= 0 && age < minAgeMs
}

/** True if an event other than a service event was appended after `after`. */
async function hasGrown(sql: Sql, shard: number, after: number): Promise<boolean> {
  const rows = await sql`
    select
    from events e
    where e.shard = ${shard} and e.position > ${after}
      and e.type not in ${sql(SERVICE_EVENT_TYPES)}
    limit 1`
  return rows.length > 0
}

/**
 * Start of the first 15-minute bucket whose usage may have changed since `last`: the bucket of the
 * last event that it covers. Null means all of them.
 */
async function findUsageStart(
  sql: Sql,
  { shard, tables }: StoredAttestation,
): Promise<string | null> {
  const positions = tables.flatMap(({ table, position }) =>
    table.endsWith('_usage') && !isBackdated(table) ? [position] : [],
  )
  if (positions.length === 0) return null
  const position = Math.min(...positions)
  const [event] = await readLeafEvents(sql, shard, position, position + 1)
  if (!event) return null
  return startOfQuarterHour(event.recordedAt).replace('+', '.000000+')
}

/** The position after which backdated usage is not covered by `last`. Null means all of it. */
function findBackdatedStart({ tables }: StoredAttestation): number | null {
  const covered = tables.filter(({ table }) => isBackdated(table))
  return covered.length === 0 ? null : Math.min(...covered.map(({ position }) => position))
}

const isBackdated = (table: string) => table.endsWith('_backdated_usage')
