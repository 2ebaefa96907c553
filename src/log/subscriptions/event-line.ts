import type { StoredEvent } from '../../events/event.ts'
import { toEventLine } from '../../events/event-line.ts'

/** An event as streams carry it: its JSON on one line, in UTF-8, and what they choose by. */
export type Line = Pick<StoredEvent, 'shard' | 'position' | 'type' | 'source' | 'recordedAt'> & {
  /** Without a newline. Shared by all who send it: nobody changes it. */
  json: Uint8Array
}

const encoder = new TextEncoder()

/** Makes an event's line. */
export function toLine(event: StoredEvent): Line {
  const { shard, position, type, source, recordedAt } = event
  return { shard, position, type, source, recordedAt, json: encoder.encode(toEventLine(event)) }
}
