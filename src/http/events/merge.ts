import type { StoredEvent } from '../../events/event.ts'

/** Compares events of shards in ascending order: at equal times the lower shard comes first. */
export const isOlder = (a: StoredEvent, b: StoredEvent) => a.recordedAt < b.recordedAt
/** The reverse order: at equal times the higher shard comes first. */
export const isNewer = (a: StoredEvent, b: StoredEvent) => a.recordedAt >= b.recordedAt

/**
 * Merges the next events of several shards and returns the first `limit`. Stops early when the
 * events of a shard run out that has more in the log, because those may precede the others.
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
