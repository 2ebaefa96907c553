import { EVENT_TYPES, hashPayload } from '../events/event.ts'
import {
  type Attestation,
  type OriginChange,
  SERVICE_SOURCE,
  type ShardsChange,
} from '../events/statement.ts'
import { ownClock } from '../platform/postgres/clock.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { appendAgain } from './overtaken.ts'

/** What the service itself says in the log. */
export type ServiceEvent =
  | { type: 'ProjectionAttested'; payload: Attestation }
  | { type: 'OriginChanged'; payload: OriginChange }
  | { type: 'ShardsChanged'; payload: ShardsChange }

/** Where it stands; `replayed` where an earlier try, or another instance, had brought it there. */
export type AppendedServiceEvent = { shard: number; position: number; replayed: boolean }

/**
 * Appends a statement of the service to a shard; durable when it resolves, or when its transaction
 * is. The idempotency key says what it is about: of several instances that say the same, one does.
 *
 * Failed and not stored, and failed but stored (the answer was lost), look alike: the next try with
 * that key finds out.
 */
export async function appendServiceEvent(
  sql: Sql | Transaction,
  shard: number,
  { type, payload }: ServiceEvent,
  idempotencyKey: string,
): Promise<AppendedServiceEvent> {
  const text = JSON.stringify(payload)
  const append = async () => {
    const [row] = await sql<{ position: string; replayed: boolean }[]>`
      select a.position, a.replayed
      from append_event(
        ${shard}, ${type}, ${EVENT_TYPES[type].version}::smallint, ${SERVICE_SOURCE},
        ${idempotencyKey}, ${text}, ${hashPayload(text)}, ${ownClock(sql)}
      ) a`
    return row!
  }
  // What has failed in a transaction can't be tried again there.
  const row = await ('savepoint' in sql ? append() : appendAgain(append))
  return { shard, position: Number(row.position), replayed: row.replayed }
}
