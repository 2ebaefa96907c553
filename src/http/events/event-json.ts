import { isAct, toPostedRows } from '../../events/act.ts'
import { postingsOf, type StoredEvent, toRows, tryDecodeEvent } from '../../events/event.ts'
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
    const rows = rowsOf(event)
    return toEventJson(event, `,"entries":${JSON.stringify(rows && [...rows])}`)
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
  const rows = rowsOf(event)
  if (rows === null) return yield ',"entries":null}'
  yield ',"entries":['
  let separator = ''
  let part: object[] = []
  for (const row of rows) {
    if (part.push(row) < PART_ENTRIES) continue
    yield separator + formatRows(part)
    separator = ','
    part = []
  }
  if (part.length > 0) yield separator + formatRows(part)
  yield ']}'
}

const formatRows = (rows: readonly object[]) => JSON.stringify(rows).slice(1, -1)

/** The entries of a flush, or what an act added to each account; null for other events. */
function rowsOf(event: StoredEvent): Iterable<object> | null {
  const decoded = tryDecodeEvent(event)
  if (decoded === null) return null
  return isAct(decoded.type) ? toPostedRows(postingsOf(decoded, event.recordedAt)) : toRows(decoded)
}
