import type { StoredEvent } from '../events/event.ts'
import { toEventLine } from '../events/event-line.ts'

/** An event as streams send it: its JSON on one line, in UTF-8, and the columns they filter by. */
export type Line = Pick<StoredEvent, 'shard' | 'position' | 'type' | 'source' | 'recordedAt'> & {
  /** Without a newline. Shared by all streams that send it: must not be modified. */
  json: Uint8Array
}

const encoder = new TextEncoder()

/** Formats an event as a line for streams. */
export function toLine(event: StoredEvent): Line {
  const { shard, position, type, source, recordedAt } = event
  return { shard, position, type, source, recordedAt, json: encoder.encode(toEventLine(event)) }
}
