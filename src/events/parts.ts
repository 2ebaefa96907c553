import type { ApiKeyFlush } from './api-key-flush.ts'
import type { Event } from './event.ts'
import type { KeyFlush } from './key-flush.ts'

/** Entries of a part: folding so many takes a millisecond or two. */
const PART_ENTRIES = 8_192

/**
 * Cuts the event of a large flush into smaller ones, which add up to it. They stand at the same
 * position: only a fold that takes all of them or none is right. Other events stay whole.
 */
export function cutEvent(event: Event, entries = PART_ENTRIES): Iterator<Event, undefined> {
  switch (event.type) {
    case 'ApiKeyStatsFlushed':
      return cutApiKeyFlush(event.flush, entries)
    case 'KeyStatsFlushed':
      return cutKeyFlush(event.flush, entries)
    case 'CatalogChanged':
    case 'ProjectionAttested':
    case 'OriginChanged':
    case 'ShardsChanged':
      return [event].values()
  }
}

function* cutApiKeyFlush(flush: ApiKeyFlush, entries: number): Generator<Event, undefined> {
  let run = 0
  let left = flush.counts[0] ?? 0
  for (let from = 0; from < flush.ids.length; from += entries) {
    const to = Math.min(from + entries, flush.ids.length)
    const groups: (number | null)[] = []
    const counts: number[] = []
    for (let at = from; at < to; ) {
      while (left === 0) left = flush.counts[++run]!
      const count = Math.min(left, to - at)
      groups.push(flush.groups[run]!)
      counts.push(count)
      at += count
      left -= count
    }
    const ids = flush.ids.slice(from, to)
    const requests = flush.requests.slice(from, to)
    const successes = flush.successes.slice(from, to)
    yield { type: 'ApiKeyStatsFlushed', flush: { groups, counts, ids, requests, successes } }
  }
}

function* cutKeyFlush(flush: KeyFlush, entries: number): Generator<Event, undefined> {
  for (let from = 0; from < flush.hashes.length; from += entries) {
    const to = from + entries
    yield {
      type: 'KeyStatsFlushed',
      flush: {
        hashes: flush.hashes.slice(from, to),
        requests: flush.requests.slice(from, to),
        tokens: flush.tokens.slice(from, to),
        last_accessed_at: flush.last_accessed_at.slice(from, to),
        quota_tracked: flush.quota_tracked.slice(from, to),
      },
    }
  }
}

/** How many entries the flush of an event has; none, where it is of no flush. */
export function countEntries(event: Event): number {
  switch (event.type) {
    case 'ApiKeyStatsFlushed':
      return event.flush.ids.length
    case 'KeyStatsFlushed':
      return event.flush.hashes.length
    case 'CatalogChanged':
    case 'ProjectionAttested':
    case 'OriginChanged':
    case 'ShardsChanged':
      return 0
  }
}
