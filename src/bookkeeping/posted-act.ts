import { type Amounts, sameAmounts } from '../events/amounts.ts'
import type { Event } from '../events/event.ts'
import type { Opening } from '../events/types/balances-opened.ts'
import type { Reversal } from '../events/types/event-reversed.ts'
import type { Adjustment } from '../events/types/totals-adjusted.ts'
import type { AccountName } from './checks.ts'

/** An act that an administrator asks for. */
export type PostedAct =
  | { kind: 'open'; opening: Opening }
  | { kind: 'adjust'; adjustment: Adjustment }
  | { kind: 'reverse'; shard: number; position: number; reason: string }
  | { kind: 'reset'; tokenHash: string; reason: string }

/** Why an act is refused. Nothing was appended. */
export type ActRefusal =
  | { kind: 'unknown accounts' | 'already open' | 'total out of range'; accounts: AccountName[] }
  | { kind: 'no such event' | 'counts nothing' | 'idempotency key reused' }
  | { kind: 'already reversed'; position: number }

/** An act in the log, at a position of shard 0; `replayed` if an earlier attempt appended it. */
export type RecordedAct = { kind: 'recorded'; position: number; replayed: boolean }

/** The amounts that an event adds to accounts, and its entries for unknown keys. */
export type SummedEvent = { amounts: Amounts; unknown: Reversal['unknown'] & object }

/** True if an event says what was posted. */
export function isSame(event: Event, posted: PostedAct): boolean {
  switch (posted.kind) {
    case 'open': {
      if (event.type !== 'BalancesOpened') return false
      const { as_of, origin } = posted.opening
      const { system, note } = event.data.origin
      return (
        event.data.as_of === as_of &&
        system === origin.system &&
        note === origin.note &&
        sameAmounts(event.data, posted.opening)
      )
    }
    case 'adjust':
      return (
        event.type === 'TotalsAdjusted' &&
        event.data.reason === posted.adjustment.reason &&
        sameAmounts(event.data, posted.adjustment)
      )
    case 'reverse':
      return (
        event.type === 'EventReversed' &&
        event.data.reason === posted.reason &&
        event.data.reversed === `${posted.shard}/${posted.position}`
      )
    case 'reset':
      return (
        event.type === 'QuotaReset' &&
        event.data.reason === posted.reason &&
        event.data.keys.hashes[0] === posted.tokenHash
      )
  }
}
