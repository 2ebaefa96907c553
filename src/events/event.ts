import { hash } from 'node:crypto'
import type { AccountKind } from './accounts.ts'
import { PayloadError } from './columns.ts'
import type { EventDefinition } from './definition.ts'
import type { Postings } from './postings.ts'
import type { EntryRow } from './rows.ts'
import { apiKeyStatsFlushed } from './types/api-key-stats-flushed.ts'
import { balancesOpened } from './types/balances-opened.ts'
import { catalogChanged } from './types/catalog-changed.ts'
import { eventReversed } from './types/event-reversed.ts'
import { keyStatsFlushed } from './types/key-stats-flushed.ts'
import { quotaReset } from './types/quota-reset.ts'
import { ruleCleared, ruleCrossed } from './types/rule-events.ts'
import { originChanged, projectionAttested, shardsChanged } from './types/statements.ts'
import { tokenCreated, tokenRevoked } from './types/token-events.ts'
import { totalsAdjusted } from './types/totals-adjusted.ts'
import { unknownKeysAdopted } from './types/unknown-keys-adopted.ts'

/** The definitions of all event types. */
export const EVENT_TYPES = {
  ApiKeyStatsFlushed: apiKeyStatsFlushed,
  KeyStatsFlushed: keyStatsFlushed,
  CatalogChanged: catalogChanged,
  BalancesOpened: balancesOpened,
  TotalsAdjusted: totalsAdjusted,
  EventReversed: eventReversed,
  UnknownKeysAdopted: unknownKeysAdopted,
  QuotaReset: quotaReset,
  RuleCrossed: ruleCrossed,
  RuleCleared: ruleCleared,
  TokenCreated: tokenCreated,
  TokenRevoked: tokenRevoked,
  ProjectionAttested: projectionAttested,
  OriginChanged: originChanged,
  ShardsChanged: shardsChanged,
} as const

export type EventType = keyof typeof EVENT_TYPES

type DataOf<Type extends EventType> =
  (typeof EVENT_TYPES)[Type] extends EventDefinition<infer Data> ? Data : never

/** An event as stored in the log. */
export type StoredEvent = {
  shard: number
  position: number
  type: string
  version: number
  /** RFC 3339 in UTC, with microseconds. */
  recordedAt: string
  source: string
  idempotencyKey: string | null
  /** JSON, character for character as it was appended. */
  payload: string
  /** Stored size of the payload; about its length. */
  payloadBytes: number
  /** Hex. */
  payloadSha256: string
}

/** The content of an event, in its current shape whatever version it was written in. */
export type Event = { [Type in EventType]: { type: Type; data: DataOf<Type> } }[EventType]

/** The type or version of an event is unknown: a newer release may have written it. */
export class UnknownEvent extends PayloadError {
  override name = 'UnknownEvent'
}

/**
 * Reads an event of any version (an old one is upcast) from its payload's text, or faster from its
 * bytes. Throws UnknownEvent if the type or version is unknown, and another PayloadError if no
 * append could have written the payload.
 */
export function decodeEvent(type: string, version: number, payload: string | Uint8Array): Event {
  const definition = isEventType(type) ? (EVENT_TYPES[type] as EventDefinition<unknown>) : null
  const read = definition?.read[version]
  if (read === undefined) throw new UnknownEvent(`no reader for ${type} version ${version}`)
  const { readBytes } = definition!
  const isCurrent = version === definition!.version && typeof payload !== 'string'
  const data = (isCurrent ? readBytes?.(payload) : null) ?? read(parse(payload))
  return { type, data } as Event
}

/**
 * Decodes an event as `decodeEvent` does. Returns null for one that can't be decoded, and passes
 * on why.
 */
export function tryDecodeEvent(
  { type, version, payload }: { type: string; version: number; payload: string | Uint8Array },
  onUnreadable: (reason: PayloadError) => void = () => {},
): Event | null {
  try {
    return decodeEvent(type, version, payload)
  } catch (error) {
    if (!(error instanceof PayloadError)) throw error
    onUnreadable(error)
    return null
  }
}

const isEventType = (type: string): type is EventType => Object.hasOwn(EVENT_TYPES, type)

const definitionOf = ({ type }: Event) => EVENT_TYPES[type] as EventDefinition<unknown>

/** Returns the version in which an event is appended. */
export const versionOf = (event: Event): number => {
  const { version, versionOf: versionFor } = definitionOf(event)
  return versionFor === undefined ? version : versionFor(event.data)
}

/** Returns the postings of an event that was recorded at `recordedAt` (RFC 3339). */
export const postingsOf = (event: Event, recordedAt: string): readonly Postings[] =>
  definitionOf(event).post(event.data, recordedAt)

/** Returns the entries of a flush as rows, or null if the event isn't a flush. */
export const toRows = (event: Event): EntryRow[] | null => definitionOf(event).toRows(event.data)

/** False if events of a type never post to such accounts; true for an unknown type. */
export const mayPostTo = (type: string, kind: AccountKind): boolean =>
  !isEventType(type) || EVENT_TYPES[type].postsTo.includes(kind)

/** Returns the event types that may post to accounts of a kind. */
export const typesThatPostTo = (kind: AccountKind) =>
  Object.keys(EVENT_TYPES).filter((type) => mayPostTo(type, kind))

/** Returns the SHA-256 of a payload's UTF-8 bytes, in hex. */
export function hashPayload(payload: string): string {
  return hash('sha256', payload, 'hex')
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

function parse(payload: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof payload === 'string' ? payload : decoder.decode(payload))
  } catch {
    throw new PayloadError('not JSON')
  }
}
