import type { Event } from './event.ts'
import { quarterHourBefore, startOfQuarterHour } from './instant.ts'
import { type Location, parseLocation } from './positions.ts'
import type { Postings } from './postings.ts'
import type { PostedRow } from './rows.ts'
import type { Reversal } from './types/event-reversed.ts'

/** The types of events in which an administrator makes an entry in the books. */
export const ACT_TYPES = [
  'BalancesOpened',
  'TotalsAdjusted',
  'EventReversed',
  'UnknownKeysAdopted',
  'QuotaReset',
] as const

export const isAct = (type: string): boolean => (ACT_TYPES as readonly string[]).includes(type)

/**
 * Positions in shard 0 of the last catalog change and the last act, -1 for none: the next ones are
 * decided against these.
 */
export type LastDecisions = { change: number; act: number }

/** What an act is, without its amounts. */
export type Act = (
  | { type: 'BalancesOpened' | 'UnknownKeysAdopted' }
  | { type: 'TotalsAdjusted'; reason: string }
  | { type: 'EventReversed'; reason: string; shard: number; position: number }
  | { type: 'QuotaReset'; reason: string; token_hash: string; at: string }
) & {
  /**
   * The quarter hour in which quota periods count what usage counts in none: of opening balances
   * the last one before their `as_of`, of a reversal that of what it reverses.
   */
  quarter: string | null
}

/** Where the events that reversals reverse are, by the positions of the reversals. */
export type MovedReversals = { type: 'ShardsChanged'; moved: [number, Location][] }

/** Returns what kind of act an event is that was recorded at a time, or null if it is none. */
export function actOf({ type, data }: Event, recordedAt: string): Act | MovedReversals | null {
  switch (type) {
    case 'BalancesOpened':
      return { type, quarter: quarterHourBefore(data.as_of) }
    case 'UnknownKeysAdopted':
      return { type, quarter: null }
    case 'TotalsAdjusted':
      return { type, reason: data.reason, quarter: startOfQuarterHour(recordedAt) }
    case 'EventReversed': {
      const quarter = quarterOfReversal(data)
      return { type, reason: data.reason, quarter, ...parseLocation(data.reversed) }
    }
    case 'QuotaReset': {
      const { reason, at, keys } = data
      return { type, reason, at, token_hash: keys.hashes[0]!, quarter: startOfQuarterHour(at) }
    }
    case 'ShardsChanged': {
      const moved = (data.reversals ?? []).map(
        ([at, to]) => [at, parseLocation(to)] as [number, Location],
      )
      return moved.length === 0 ? null : { type, moved }
    }
    default:
      return null
  }
}

function quarterOfReversal({ type, at }: Reversal): string | null {
  if (type === 'BalancesOpened') return quarterHourBefore(at)
  return type === 'TotalsAdjusted' ? startOfQuarterHour(at) : null
}

/** Returns the postings of an act as rows, one per account. */
export function* toPostedRows(postings: readonly Postings[]): Generator<PostedRow> {
  for (const { kind, accounts, sums, maxima, start, end } of postings) {
    const isKey = kind === 'key'
    for (let i = start; i < end; i++) {
      const account = (accounts as readonly (number | string)[])[i]!
      const [requests, second, third] = sums.map((column) => column[i]!)
      yield {
        provider_group_id: kind === 'provider_group' ? (account as number) : null,
        api_key_id: kind === 'api_key' ? (account as number) : null,
        token_hash: isKey ? (account as string) : null,
        requests: requests!,
        success_requests: isKey ? null : second!,
        tokens: isKey ? second! : null,
        quota_used: isKey ? third! : null,
        last_accessed_at: maxima[0]?.[i] ?? null,
      }
    }
  }
}
