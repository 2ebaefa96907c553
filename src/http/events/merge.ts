import type { StoredEvent } from '../../events/event.ts'

/** For events of shards in ascending order: of one time, that of the lower shard comes first. */
export const isOlder = (a: StoredEvent, b: StoredEvent) => a.recordedAt < b.recordedAt
/** The same backwards: of one time, that of the higher shard. */
export const isNewer = (a: StoredEvent, b: StoredEvent) => a.recordedAt >= b.recordedAt

/**
 * The first `limit` of several shards' next events. Stops early where a shard's events run out that
 * has more in the log: what follows there may come before what the others have.
 */
export function mergeByTime(
  read: StoredEvent[][],
  ends: boolean[],
  limit: number,
  comesBefore: (a: StoredEvent, b: StoredEvent) => boolean,
): StoredEvent[] {
  const merged: StoredEvent[] = []
  const next = read.map(() => 0)
  while (merged.length < limit) {
    let first: { event: StoredEvent; from: number } | undefined
    for (const [from, events] of read.entries()) {
      const event = events[next[from]!]
      if (!event && !ends[from]) return merged
      if (event && (!first || comesBefore(event, first.event))) first = { event, from }
    }
    if (!first) return merged
    merged.push(first.event)
    next[first.from]!++
  }
  return merged
}
