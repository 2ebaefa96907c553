import {
  type ApiKeyEntries,
  type ApiKeyFlushAnswer,
  answerApiKeyFlush,
  attributeApiKeyFlush,
  encodeApiKeyFlush,
  type GroupOf,
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
export type PostedFlush =
  | { type: 'ApiKeyStatsFlushed'; entries: ApiKeyEntries }
  | { type: 'KeyStatsFlushed'; entries: KeyEntries }

/** A flush as resolved with a catalog: its event. */
export type AttributedFlush = Extract<Event, { type: PostedFlush['type'] }>

export type FlushAnswer = ApiKeyFlushAnswer | KeyFlushAnswer

/** What resolving needs to know of the catalog. */
export type Attributor = { groupOf: GroupOf; quotaTrackedOf: QuotaTrackedOf }

/** The event of a flush, by the catalog as it stands now. */
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

/** The payload of a flush's event, in the version that is written today. */
export function encodeFlush(attributed: AttributedFlush): string {
  switch (attributed.type) {
    case 'ApiKeyStatsFlushed':
      return encodeApiKeyFlush(attributed.data)
    case 'KeyStatsFlushed':
      return JSON.stringify(attributed.data)
  }
}

/** The body that answers a flush. */
export function answerFlush(attributed: AttributedFlush): FlushAnswer {
  switch (attributed.type) {
    case 'ApiKeyStatsFlushed':
      return answerApiKeyFlush(attributed.data)
    case 'KeyStatsFlushed':
      return answerKeyFlush(attributed.data)
  }
}

/** True where an event of the log holds the very entries that are posted now. */
export function holdsEntries(event: Event, posted: PostedFlush): event is AttributedFlush {
  if (event.type === 'ApiKeyStatsFlushed' && posted.type === event.type) {
    return sameApiKeyEntries(event.data, posted.entries)
  }
  if (event.type === 'KeyStatsFlushed' && posted.type === event.type) {
    return sameKeyEntries(event.data, posted.entries)
  }
  return false
}
