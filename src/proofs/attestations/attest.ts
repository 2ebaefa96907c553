import { startOfQuarterHour } from '../../events/instant.ts'
import { SERVICE_EVENT_TYPES } from '../../events/statement.ts'
import { type AppendedServiceEvent, appendServiceEvent } from '../../log/append-event.ts'
import { readLeafEvents } from '../../log/read.ts'
import { type Sql, transact } from '../../platform/postgres/pool.ts'
import { type AttestedRange, digestTables } from './digest-tables.ts'
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
  const range = last === null ? ALL : await findRange(sql.read, last)
  const payload = await transact(
    sql.read,
    'isolation level repeatable read read only',
    (transaction) => digestTables(transaction, shard, range),
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

const ALL: AttestedRange = { from: null, after: null, partsFrom: null, partsAfter: null }

async function findRange(sql: Sql, last: StoredAttestation): Promise<AttestedRange> {
  const from = await findUsageStart(sql, last)
  // Parts are covered once a dimension or measure was declared.
  const hasParts = last.tables.some(({ table }) => table.endsWith('_parts'))
  return {
    ...{ from, after: findBackdatedStart(last, '_backdated_usage') },
    partsFrom: hasParts ? from : null,
    partsAfter: findBackdatedStart(last, '_backdated_parts'),
  }
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
    table.endsWith('_usage') && !table.endsWith('_backdated_usage') ? [position] : [],
  )
  if (positions.length === 0) return null
  const position = Math.min(...positions)
  const [event] = await readLeafEvents(sql, shard, position, position + 1)
  if (!event) return null
  return startOfQuarterHour(event.recordedAt).replace('+', '.000000+')
}

/**
 * The position after which backdated tables, whose names end like this, are not covered by `last`.
 * Null means all of it.
 */
function findBackdatedStart({ tables }: StoredAttestation, end: string): number | null {
  const covered = tables.filter(({ table }) => table.endsWith(end))
  return covered.length === 0 ? null : Math.min(...covered.map(({ position }) => position))
}
