import {
  type ApiKeyFlushAnswer,
  type ApiKeys,
  answerApiKeyFlush,
  attributeApiKeyFlush,
  encodeApiKeyFlush,
  type GroupOf,
  type NamesTwoKeys,
  type PostedApiKeyEntries,
  resolveNames,
  sameApiKeyEntries,
} from './api-key-flush.ts'
import type { Event } from './event.ts'
import {
  answerKeyFlush,
  attributeKeyFlush,
  type KeyEntries,
  type KeyFlushAnswer,
  type QuotaTrackedOf,
  sameKeyEntries,
} from './key-flush.ts'

/** A flush as posted, of either kind. */
export type PostedFlush = (
  | { type: 'ApiKeyStatsFlushed'; entries: PostedApiKeyEntries }
  | { type: 'KeyStatsFlushed'; entries: KeyEntries }
) & { hints?: KeyHints }

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

/** Replaces the external ids of keys by their ids, or returns which entry names two keys. */
export function resolveFlush(posted: PostedFlush, keys: ApiKeys): PostedFlush | NamesTwoKeys {
  if (posted.type !== 'ApiKeyStatsFlushed') return posted
  const entries = resolveNames(posted.entries, keys)
  return 'twoKeysAt' in entries ? entries : { type: posted.type, entries }
}

/** Returns the event of a flush (see `resolveFlush`), attributed with the current catalog. */
export function attributeFlush(posted: PostedFlush, attributor: Attributor): AttributedFlush {
  switch (posted.type) {
    case 'ApiKeyStatsFlushed':
      return { type: posted.type, data: attributeApiKeyFlush(posted.entries, attributor.groupOf) }
    case 'KeyStatsFlushed':
      return {
        type: posted.type,
        data: attributeKeyFlush(posted.entries, attributor.quotaTrackedOf),
      }
  }
}

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
      return JSON.stringify(attributed.data)
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
 * True if an event of the log holds the same entries as a posted flush. The lookups are those of a
 * catalog that is not older than the event.
 */
export function holdsEntries(
  event: Event,
  posted: PostedFlush,
  { apiKeyIdOf }: Pick<ApiKeys, 'apiKeyIdOf'>,
): event is AttributedFlush {
  if (event.type === 'ApiKeyStatsFlushed' && posted.type === event.type) {
    return sameApiKeyEntries(event.data, posted.entries, apiKeyIdOf)
  }
  if (event.type === 'KeyStatsFlushed' && posted.type === event.type) {
    return sameKeyEntries(event.data, posted.entries)
  }
  return false
}
