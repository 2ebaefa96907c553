import { type Event, hashPayload, versionOf } from '../events/event.ts'
import type { Opening } from '../events/types/balances-opened.ts'
import type { Reversal } from '../events/types/event-reversed.ts'
import type { QuotaReset } from '../events/types/quota-reset.ts'
import type { Adjustment } from '../events/types/totals-adjusted.ts'
import type { Adoption } from '../events/types/unknown-keys-adopted.ts'
import { retryOvertaken } from '../log/overtaken.ts'
import { ownClock } from '../platform/postgres/clock.ts'
import type { Sql } from '../platform/postgres/pool.ts'

/** An event in which an administrator makes an entry in the books. */
export type ActEvent =
  | { type: 'BalancesOpened'; payload: Opening }
  | { type: 'TotalsAdjusted'; payload: Adjustment }
  | { type: 'EventReversed'; payload: Reversal }
  | { type: 'UnknownKeysAdopted'; payload: Adoption }
  | { type: 'QuotaReset'; payload: QuotaReset }

/** Its position in shard 0; `replayed` if an earlier attempt appended it. */
export type AppendedAct = { position: number; replayed: boolean }

/**
 * Appends an act that was decided when the newest act was at `before` (-1: there was none). Returns
 * null, and appends nothing, if there is a newer one now.
 *
 * Failed and not stored, and failed but stored (the answer was lost), look alike: with an
 * idempotency key, the next attempt finds out.
 */
export async function appendAct(
  sql: Sql,
  before: number,
  { type, payload }: ActEvent,
  source: string,
  idempotencyKey: string | null,
): Promise<AppendedAct | null> {
  const text = JSON.stringify(payload)
  const version = versionOf({ type, data: payload } as Event)
  const [row] = await retryOvertaken(
    () => sql<{ position: string | null; replayed: boolean }[]>`
      select a.position, a.replayed
      from append_act(
        ${before}::bigint, ${type}, ${version}::smallint, ${source}, ${idempotencyKey ?? ''},
        ${text}, ${hashPayload(text)}, ${ownClock(sql)}
      ) a`,
  )
  const { position, replayed } = row!
  return position === null ? null : { position: Number(position), replayed }
}
