import type { StoredEvent } from '../events/event.ts'
import { selectEvents } from '../log/read.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'

/** One read of the log; two of them are in memory at a time. */
const PAGE = { rows: 2_000, bytes: 4 * 1024 * 1024 }

/**
 * The events of a shard from 0 up to a head, page by page: no snapshot stays open, and the next
 * page is on its way while one is worked on. Throws UserError where an event is missing, or when
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
    // Whoever stops in the middle of a page never looks at the next one.
    page.catch(() => {})
    return page
  }
  let position = -1
  let coming = readAfter(position)
  while (coming !== null) {
    const events = await coming
    signal.throwIfAborted()
    const after = events.at(-1)?.position ?? position
    coming = readAfter(after)
    for (const event of events) {
      if (event.position === ++position) continue
      throw new UserError(`The log has no event ${shard}/${position}: it can't be read whole.`)
    }
    if (events.length === 0) {
      throw new UserError(`The log of shard ${shard} ends at ${position}, not at ${head}.`)
    }
    yield position > head ? events.slice(0, head - position) : events
  }
}
