import { hash } from 'node:crypto'
import type { AccountKind } from './accounts.ts'
import { PayloadError } from './columns.ts'
import type { EventDefinition } from './definition.ts'
import type { Postings } from './postings.ts'
import type { EntryRow } from './rows.ts'
import { apiKeyStatsFlushed } from './types/api-key-stats-flushed.ts'
import { catalogChanged } from './types/catalog-changed.ts'
import { keyStatsFlushed } from './types/key-stats-flushed.ts'
import { originChanged, projectionAttested, shardsChanged } from './types/statements.ts'

/** Every type of events. */
export const EVENT_TYPES = {
  ApiKeyStatsFlushed: apiKeyStatsFlushed,
  KeyStatsFlushed: keyStatsFlushed,
  CatalogChanged: catalogChanged,
  ProjectionAttested: projectionAttested,
  OriginChanged: originChanged,
  ShardsChanged: shardsChanged,
} as const

export type EventType = keyof typeof EVENT_TYPES

type DataOf<Type extends EventType> =
  (typeof EVENT_TYPES)[Type] extends EventDefinition<infer Data> ? Data : never

/** An event as it stands in the log. */
export type StoredEvent = {
  shard: number
  position: number
  type: string
  version: number
  /** RFC 3339 in UTC, microseconds. */
  recordedAt: string
  source: string
  idempotencyKey: string | null
  /** JSON, letter by letter as it was appended. */
  payload: string
  /** What the payload takes in the log; about its length. */
  payloadBytes: number
  /** Hex. */
  payloadSha256: string
}

/** What an event says, in today's shape whatever version it was written in. */
export type Event = { [Type in EventType]: { type: Type; data: DataOf<Type> } }[EventType]

/** An event of a type or version that this code doesn't know: maybe newer code has written it. */
export class UnknownEvent extends PayloadError {
  override name = 'UnknownEvent'
}

/**
 * Reads an event of any version (an old one is upcast) from its payload's text, or faster from the
 * bytes of it. Throws UnknownEvent where the type or version isn't known, and another PayloadError
 * where the payload is not what an append writes.
 */
export function decodeEvent(type: string, version: number, payload: string | Uint8Array): Event {
  const definition = isEventType(type) ? (EVENT_TYPES[type] as EventDefinition<unknown>) : null
  const read = definition?.read[version]
  if (read === undefined) throw new UnknownEvent(`no reader for ${type} version ${version}`)
  const { readBytes } = definition!
  const isToday = version === definition!.version && typeof payload !== 'string'
  const data = (isToday ? readBytes?.(payload) : null) ?? read(parse(payload))
  return { type, data } as Event
}

const isEventType = (type: string): type is EventType => Object.hasOwn(EVENT_TYPES, type)

const definitionOf = ({ type }: Event) => EVENT_TYPES[type] as EventDefinition<unknown>

/** What an event counts that was recorded then (RFC 3339). */
export const postingsOf = (event: Event, recordedAt: string): readonly Postings[] =>
  definitionOf(event).post(event.data, recordedAt)

/** The entries of a flush as rows; null for an event that is none. */
export const toRows = (event: Event): EntryRow[] | null => definitionOf(event).toRows(event.data)

/** False for a type of events that never post to such accounts; true for one that isn't known. */
export const mayPostTo = (type: string, kind: AccountKind): boolean =>
  !isEventType(type) || EVENT_TYPES[type].postsTo.includes(kind)

/** The types of events that may post to such accounts. */
export const typesThatPostTo = (kind: AccountKind) =>
  Object.keys(EVENT_TYPES).filter((type) => mayPostTo(type, kind))

/** SHA-256 of a payload's UTF-8 bytes, in hex. */
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
