import { type StoredEvent, toRows, tryDecodeEvent } from '../../events/event.ts'
import { toLeaf } from '../../events/leaf.ts'
import { nextTurn } from '../../platform/async/turns.ts'

/** The length of a payload above which an event and its entries are formatted in parts. */
const LARGE_LENGTH = 256 * 1024
/** Entries per part: a millisecond or two. */
const PART_ENTRIES = 4_096

/** Formats an event as JSON; the payload is copied byte for byte from the log. */
export function toEventJson(event: StoredEvent, more = ''): string {
  return `${toLeaf(event).slice(0, -1)},"payload":${event.payload}${more}}`
}

/**
 * Formats an event and its entries as JSON. The entries of a large event are formatted in parts, as
 * the client reads them.
 */
export function withEntries(event: StoredEvent): string | ReadableStream {
  if (event.payload.length <= LARGE_LENGTH) {
    const decoded = tryDecodeEvent(event)
    return toEventJson(event, `,"entries":${JSON.stringify(decoded && toRows(decoded))}`)
  }
  const parts = formatParts(event)
  const encoder = new TextEncoder()
  return new ReadableStream({
    pull: async (controller) => {
      await nextTurn()
      const { done, value } = parts.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(value))
    },
  })
}

function* formatParts(event: StoredEvent): Generator<string> {
  yield toEventJson(event).slice(0, -1)
  const decoded = tryDecodeEvent(event)
  yield ',"entries":'
  const rows = decoded && toRows(decoded)
  if (rows === null) return yield 'null}'
  yield '['
  for (let from = 0; from < rows.length; from += PART_ENTRIES) {
    const part = JSON.stringify(rows.slice(from, from + PART_ENTRIES)).slice(1, -1)
    yield from === 0 ? part : `,${part}`
  }
  yield ']}'
}
