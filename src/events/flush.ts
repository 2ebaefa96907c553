import {
  type ApiKeyEntries,
  type ApiKeyFlushAnswer,
  type ApiKeys,
  answerApiKeyFlush,
  attributeApiKeyFlush,
  type GroupOf,
  type PostedApiKeyEntries,
  resolveApiKeyEntries,
  sameApiKeyEntries,
} from './api-key-flush.ts'
import { encodeApiKeyFlush } from './api-key-flush-payload.ts'
import type { Declared } from './details.ts'
import type { Event } from './event.ts'
import {
  answerKeyFlush,
  attributeKeyFlush,
  encodeKeyFlush,
  type KeyEntries,
  type KeyFlushAnswer,
  type PostedKeyEntries,
  type QuotaTrackedOf,
  resolveKeyEntries,
  sameKeyEntries,
} from './key-flush.ts'

/** A flush as posted, of either kind. */
export type PostedFlush = (
  | { type: 'ApiKeyStatsFlushed'; entries: PostedApiKeyEntries }
  | { type: 'KeyStatsFlushed'; entries: PostedKeyEntries }
) & {
  hints?: KeyHints
  /** When it was counted, in Unix seconds, if it states a time of its own. */
  countedAt?: number
  /** Its numbers in the sequence of its sender (see sequence.ts). They don't change what counts. */
  sequence?: string
}

/** The types of flushes. */
export const FLUSH_TYPES = ['ApiKeyStatsFlushed', 'KeyStatsFlushed'] as const

/** A flush whose entries are looked up in the catalog. */
export type ResolvedFlush = (
  | { type: 'ApiKeyStatsFlushed'; entries: ApiKeyEntries }
  | { type: 'KeyStatsFlushed'; entries: KeyEntries }
) & { countedAt?: number; sequence?: string }

/**
 * Why a flush is not appended: an entry names two keys, or a name that is not declared. `place` is
 * that of the entry in the body.
 */
export type FlushRefusal =
  | { kind: 'names_two_keys'; place: number }
  | { kind: 'undeclared'; place: number; name: string }

/** How the sender of a flush describes a key, in case it is unknown. Not part of the event. */
export type KeyHint = {
  /** The external id of its provider group; null if none was sent. */
  group: string | null
  /** The id of its provider group; 0 if none was sent. */
  groupId: number
  name: string | null
}

/** The hints of a flush, by the index of the entry, and their approximate size. */
export type KeyHints = { byEntry: Map<number, KeyHint>; bytes: number }

/** The event of a flush: its entries, attributed with a catalog. */
export type AttributedFlush = Extract<Event, { type: PostedFlush['type'] }>

export type FlushAnswer = ApiKeyFlushAnswer | KeyFlushAnswer

/** The lookups in the catalog that attribution needs. */
export type Attributor = { groupOf: GroupOf; quotaTrackedOf: QuotaTrackedOf }

/** Looks up what the entries of a flush name, or returns why it is refused. */
export function resolveFlush(
  { type, entries, countedAt, sequence }: PostedFlush,
  catalog: ApiKeys & Declared,
): ResolvedFlush | FlushRefusal {
  const resolved =
    type === 'ApiKeyStatsFlushed'
      ? resolveApiKeyEntries(entries, catalog)
      : resolveKeyEntries(entries, catalog)
  if ('twoKeysAt' in resolved) return { kind: 'names_two_keys', place: resolved.twoKeysAt }
  if ('undeclared' in resolved) {
    return { kind: 'undeclared', place: resolved.place, name: resolved.undeclared }
  }
  const flush = { type, entries: resolved } as ResolvedFlush
  if (countedAt !== undefined) flush.countedAt = countedAt
  if (sequence !== undefined) flush.sequence = sequence
  return flush
}

/** Returns the event of a flush, attributed with the current catalog. */
export function attributeFlush(flush: ResolvedFlush, attributor: Attributor): AttributedFlush {
  const { countedAt, sequence } = flush
  const attributed: AttributedFlush =
    flush.type === 'ApiKeyStatsFlushed'
      ? { type: flush.type, data: attributeApiKeyFlush(flush.entries, attributor.groupOf) }
      : { type: flush.type, data: attributeKeyFlush(flush.entries, attributor.quotaTrackedOf) }
  if (countedAt !== undefined) attributed.data.counted_at = countedAt
  if (sequence !== undefined) attributed.data.sequence = sequence
  return attributed
}

/** Returns when a flush was counted (Unix seconds), or null for an event that does not state it. */
export const statedTimeOf = ({ type, data }: Event): number | null =>
  type === 'ApiKeyStatsFlushed' || type === 'KeyStatsFlushed' ? (data.counted_at ?? null) : null

/** True if an entry of a flush counts nothing because its key is unknown. */
export function namesUnknownKey({ type, data }: AttributedFlush): boolean {
  const attributed: readonly unknown[] =
    type === 'ApiKeyStatsFlushed' ? data.groups : data.quota_tracked
  return attributed.includes(null)
}

/** Returns the payload of a flush's event, in the version that appends write. */
export function encodeFlush(attributed: AttributedFlush): string {
  switch (attributed.type) {
    case 'ApiKeyStatsFlushed':
      return encodeApiKeyFlush(attributed.data)
    case 'KeyStatsFlushed':
      return encodeKeyFlush(attributed.data)
  }
}

/** Returns the response body for a flush. */
export function answerFlush(attributed: AttributedFlush): FlushAnswer {
  switch (attributed.type) {
    case 'ApiKeyStatsFlushed':
      return answerApiKeyFlush(attributed.data)
    case 'KeyStatsFlushed':
      return answerKeyFlush(attributed.data)
  }
}

/**
 * True if an event of the log holds the same entries as a posted flush, counted at the same time.
 * The lookups are those of a catalog that is not older than the event.
 */
export function holdsEntries(
  event: Event,
  posted: PostedFlush,
  { apiKeyIdOf }: Pick<ApiKeys, 'apiKeyIdOf'>,
): event is AttributedFlush {
  if (event.type !== posted.type || event.data.counted_at !== posted.countedAt) return false
  if (event.type === 'ApiKeyStatsFlushed' && posted.type === event.type) {
    return sameApiKeyEntries(event.data, posted.entries, apiKeyIdOf)
  }
  if (event.type === 'KeyStatsFlushed' && posted.type === event.type) {
    return sameKeyEntries(event.data, posted.entries)
  }
  return false
}
