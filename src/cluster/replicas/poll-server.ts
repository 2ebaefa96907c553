import type { Positions } from '../../events/positions.ts'
import { openAt } from '../../log/archived.ts'
import { within } from '../../platform/async/deadline.ts'
import type { Intervals } from '../../platform/intervals.ts'
import { isUnavailable, TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import {
  describeServer,
  type Identity,
  isSame,
  logContains,
  type Mismatch,
  readIdentity,
} from './identity.ts'
import { countMissing, type Progress, readProgress } from './progress.ts'
import type { ProgressWatch } from './progress-watch.ts'

/** The result of polling a replica. */
export type PollResult = 'kept up' | 'late' | { state: 'away' | 'refused'; why: string }

/** How far a replica is behind the log: events, and seconds since the oldest of them. */
export type Lag = { events: number; seconds: number }

/** The primary, which has the log, and its identity. */
export type Primary = { sql: Sql; identity: Identity }

/**
 * Reads the heads of the log. Returns null if the primary is unavailable, or doesn't answer in
 * time.
 */
export async function readPrimaryHeads(
  { sql }: Primary,
  { answerTimeoutMs }: Intervals['replicas'],
): Promise<Positions | null> {
  const progress = await orNull(answered(answerTimeoutMs, readProgress(sql)))
  return progress?.events ?? null
}

/**
 * Checks that a server is a replica of the primary, and waits up to `ms` for it to reach `heads`.
 * Returns null if the primary is unavailable, and only it could decide. Rejects if the replica is
 * unavailable.
 */
export async function pollServer(
  primary: Primary,
  heads: Positions | null,
  replica: { sql: Sql; watch: ProgressWatch },
  { answerTimeoutMs }: Intervals['replicas'],
  ms: number,
): Promise<PollResult | null> {
  const identity = await answered(answerTimeoutMs, readIdentity(replica.sql))
  if (!isSame(primary.identity, identity)) return refused('other database')
  const description = await answered(answerTimeoutMs, describeServer(replica.sql))
  replica.watch.note(description.progress)
  if (heads === null) return null
  const isSameLog = await orNull(logContains(primary.sql, description))
  if (isSameLog === null) return null
  if (!isSameLog) return refused('other log')
  if (!description.isReplica) return refused('not a replica')
  const hasCaughtUp = await replica.watch.reach({ kind: 'events', positions: heads }, ms)
  return hasCaughtUp ? 'kept up' : 'late'
}

/**
 * Measures how far a replica with this progress is behind `heads`. Returns null if the primary is
 * unavailable.
 */
export async function measureLag(
  { sql }: Primary,
  heads: Positions,
  { events }: Progress,
): Promise<Lag | null> {
  const missing = countMissing(heads, events)
  if (missing === 0) return { events: 0, seconds: 0 }
  const ages = heads.map(async (head, shard) => {
    const last = events[shard] ?? -1
    return last < head ? readAge(sql, shard, last + 1) : 0
  })
  return orNull(
    Promise.all(ages).then((all) => ({ events: missing, seconds: Math.max(0, ...all) })),
  )
}

/** Returns how long ago an event was recorded (s), wherever it is; 0 if there is none. */
async function readAge(sql: Sql, shard: number, position: number): Promise<number> {
  const window = await openAt(sql, shard, position)
  const [row] = await window.read(
    (source) => source<{ seconds: number }[]>`
      select extract(epoch from clock_timestamp() - e.recorded_at)::float8 as seconds
      from events e
      where e.shard = ${shard} and e.position = ${position}`,
  )
  return row?.seconds ?? 0
}

/** The result for a server that must not be read from. */
export const refused = (why: Mismatch): PollResult => ({ state: 'refused', why })

async function orNull<Value>(reading: Promise<Value>): Promise<Value | null> {
  try {
    return await reading
  } catch (error) {
    if (isUnavailable(error)) return null
    throw error
  }
}

const answered = <Value>(ms: number, work: Promise<Value>) =>
  within(ms, work, () => new TemporarilyUnavailable(`no answer in ${ms} ms`))
