import type { StoredEvent } from '../events/event.ts'
import { selectEvents } from '../log/read.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'

/** Maximum size of a read of the log. Two are in memory at a time. */
const PAGE = { rows: 2_000, bytes: 4 * 1024 * 1024 }

/**
 * Yields the events of a shard from 0 through `head`, page by page. No snapshot stays open, and the
 * next page is read while the caller works on one. Throws UserError if an event is missing, and if
 * the signal aborts.
 */
export async function* readPages(
  sql: Sql,
  { shard, head }: { shard: number; head: number },
  signal: AbortSignal,
): AsyncGenerator<StoredEvent[]> {
  const readAfter = (after: number) => {
    if (after >= head) return null
    const page = selectEvents(sql, { shard, after }, PAGE)
    // A caller that stops early never awaits the next page.
    page.catch(() => {})
    return page
  }
  let position = -1
  let nextPage = readAfter(position)
  while (nextPage !== null) {
    const events = await nextPage
    signal.throwIfAborted()
    const after = events.at(-1)?.position ?? position
    nextPage = readAfter(after)
    for (const event of events) {
      if (event.position === ++position) continue
      throw new UserError(`Event ${shard}/${position} is missing: the log can't be exported.`)
    }
    if (events.length === 0) {
      throw new UserError(`The log of shard ${shard} ends at ${position}, not at ${head}.`)
    }
    yield position > head ? events.slice(0, head - position) : events
  }
}
