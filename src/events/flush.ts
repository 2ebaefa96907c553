import {
  type ApiKeyEntries,
  type ApiKeyFlushAnswer,
  answerApiKeyFlush,
  encodeApiKeyFlush,
  type GroupOf,
  resolveApiKeyFlush,
  sameApiKeyEntries,
} from './api-key-flush.ts'
import type { Event } from './event.ts'
import {
  answerKeyFlush,
  type KeyEntries,
  type KeyFlushAnswer,
  type QuotaTrackedOf,
  resolveKeyFlush,
  sameKeyEntries,
} from './key-flush.ts'

/** A flush as posted, of either kind. */
export type PostedFlush =
  | { type: 'ApiKeyStatsFlushed'; entries: ApiKeyEntries }
  | { type: 'KeyStatsFlushed'; entries: KeyEntries }

/** A flush as resolved with a catalog: its event. */
export type ResolvedFlush = Extract<Event, { type: PostedFlush['type'] }>

export type FlushAnswer = ApiKeyFlushAnswer | KeyFlushAnswer

/** What resolving needs to know of the catalog. */
export type Resolver = { groupOf: GroupOf; quotaTrackedOf: QuotaTrackedOf }

/** The event of a flush, by the catalog as it stands now. */
export function resolveFlush(posted: PostedFlush, resolver: Resolver): ResolvedFlush {
  switch (posted.type) {
    case 'ApiKeyStatsFlushed':
      return { type: posted.type, data: resolveApiKeyFlush(posted.entries, resolver.groupOf) }
    case 'KeyStatsFlushed':
      return { type: posted.type, data: resolveKeyFlush(posted.entries, resolver.quotaTrackedOf) }
  }
}

/** The payload of a flush's event, in the version that is written today. */
export function encodeFlush(resolved: ResolvedFlush): string {
  switch (resolved.type) {
    case 'ApiKeyStatsFlushed':
      return encodeApiKeyFlush(resolved.data)
    case 'KeyStatsFlushed':
      return JSON.stringify(resolved.data)
  }
}

/** The body that answers a flush. */
export function answerFlush(resolved: ResolvedFlush): FlushAnswer {
  switch (resolved.type) {
    case 'ApiKeyStatsFlushed':
      return answerApiKeyFlush(resolved.data)
    case 'KeyStatsFlushed':
      return answerKeyFlush(resolved.data)
  }
}

/** True where an event of the log holds the very entries that are posted now. */
export function holdsEntries(event: Event, posted: PostedFlush): event is ResolvedFlush {
  if (event.type === 'ApiKeyStatsFlushed' && posted.type === event.type) {
    return sameApiKeyEntries(event.data, posted.entries)
  }
  if (event.type === 'KeyStatsFlushed' && posted.type === event.type) {
    return sameKeyEntries(event.data, posted.entries)
  }
  return false
}
