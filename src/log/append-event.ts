import { versionOfAttested } from '../events/digest.ts'
import { EVENT_TYPES, hashPayload } from '../events/event.ts'
import {
  type Attestation,
  type OriginChange,
  SERVICE_SOURCE,
  type ShardsChange,
} from '../events/statement.ts'
import { ownClock } from '../platform/postgres/clock.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { retryOvertaken } from './overtaken.ts'

/** An event in which the service itself states something. */
export type ServiceEvent =
  | { type: 'ProjectionAttested'; payload: Attestation }
  | { type: 'OriginChanged'; payload: OriginChange }
  | { type: 'ShardsChanged'; payload: ShardsChange }

/** The event's place; `replayed` if an earlier attempt or another instance appended it. */
export type AppendedServiceEvent = { shard: number; position: number; replayed: boolean }

/**
 * Appends a service event to a shard. It is durable when the promise resolves or, within a
 * transaction, when that commits. The idempotency key names what the event is about: if several
 * instances append it, only one event is stored.
 *
 * Failed and not stored, and failed but stored (the answer was lost), look alike: the next attempt
 * with that key finds out.
 */
export async function appendServiceEvent(
  sql: Sql | Transaction,
  shard: number,
  event: ServiceEvent,
  idempotencyKey: string,
): Promise<AppendedServiceEvent> {
  const text = JSON.stringify(event.payload)
  const append = async () => {
    const [row] = await sql<{ position: string; replayed: boolean }[]>`
      select a.position, a.replayed
      from append_event(
        ${shard}, ${event.type}, ${versionOf(event)}::smallint, ${SERVICE_SOURCE},
        ${idempotencyKey}, ${text}, ${hashPayload(text)}, ${ownClock(sql)}
      ) a`
    return row!
  }
  // Within a transaction, a failed statement can't be retried.
  const row = await ('savepoint' in sql ? append() : retryOvertaken(append))
  return { shard, position: Number(row.position), replayed: row.replayed }
}

const versionOf = (event: ServiceEvent): number =>
  event.type === 'ProjectionAttested'
    ? versionOfAttested(event.payload.tables)
    : EVENT_TYPES[event.type].version
