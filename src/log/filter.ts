import type { StoredEvent } from '../events/event.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { toRecordedAt } from './position-at.ts'

/** Limits of one read: at most `rows` events, and about `bytes` of payload; at least one event. */
export type ReadLimits = { rows: number; bytes: number }

/** Selects events; an absent member selects all. Times are RFC 3339, `to` is exclusive. */
export type ReadFilter = { type?: string; source?: string; from?: string; to?: string }

/** Returns the events that meet a test, as many as a read may return. */
export function take(
  events: readonly StoredEvent[],
  { rows, bytes }: ReadLimits,
  test: (event: StoredEvent) => boolean,
): StoredEvent[] {
  const taken: StoredEvent[] = []
  let sum = 0
  for (const event of events) {
    if (taken.length >= rows || sum >= bytes) break
    if (!test(event)) continue
    taken.push(event)
    sum += event.payloadBytes
  }
  return taken
}

/** The members of an event that a filter tests. */
type Filtered = Pick<StoredEvent, 'type' | 'source' | 'recordedAt'>

/**
 * Returns the test of an event, for those that are not in the database: `selectEvents` states the
 * same as conditions.
 */
export async function toTest(
  sql: Sql | Transaction,
  { type, source, from, to }: ReadFilter,
): Promise<(event: Filtered) => boolean> {
  // All times of the log have the same format, in which they are ordered as texts.
  const [since, until] = await Promise.all(
    [from, to].map((at) => (at === undefined ? undefined : toRecordedAt(sql, at))),
  )
  return (event) =>
    (type === undefined || event.type === type) &&
    (source === undefined || event.source === source) &&
    (since === undefined || event.recordedAt >= since) &&
    (until === undefined || event.recordedAt < until)
}
