import type { Event } from '../../../events/event.ts'
import { usageTimeOf } from '../usage-time.ts'

/** The kinds of keys that a flush may name before the catalog has them. */
export type UnknownKind = 'api_key' | 'key'

/** An entry of a flush for a key that the catalog did not have. It counts nothing. */
export type UnknownEntry = {
  kind: UnknownKind
  /** As posted: the id of an API key, or `ext:` and its external id; or a token hash. */
  name: string
  /** The time at which it would count in usage. */
  time: string
  requests: number
  /** Successes of an API key, tokens of a token key. */
  seconds: number
  /** When the key was last used, in Unix seconds; 0 for none, and for API keys. */
  accessed: number
}

/** Yields the entries of a flush for keys that the catalog did not have. */
export function* unknownEntriesOf(event: Event, recordedAt: string): Generator<UnknownEntry> {
  if (event.type === 'ApiKeyStatsFlushed') {
    const { groups, counts, ids, requests, successes, names, counted_at } = event.data
    const time = usageTimeOf(counted_at, recordedAt)
    let i = 0
    for (const [run, group] of groups.entries()) {
      for (const end = i + counts[run]!; i < end; i++) {
        if (group !== null) continue
        const name = names?.[i] ? `ext:${names[i]}` : String(ids[i])
        const sums = { requests: requests[i]!, seconds: successes[i]! }
        yield { kind: 'api_key', name, time, ...sums, accessed: 0 }
      }
    }
  }
  if (event.type === 'KeyStatsFlushed') {
    const { hashes, requests, tokens, last_accessed_at, quota_tracked, counted_at } = event.data
    const time = usageTimeOf(counted_at, recordedAt)
    const latest = Math.floor(Date.parse(recordedAt) / 1_000) + 300
    for (const [i, name] of hashes.entries()) {
      if (quota_tracked[i] !== null) continue
      const accessed = Math.min(last_accessed_at[i]!, latest)
      const sums = { requests: requests[i]!, seconds: tokens[i]! }
      yield { kind: 'key', name, time, ...sums, accessed }
    }
  }
}

/** True if a flush has an entry for a key that the catalog did not have. */
export function hasUnknownEntries(event: Event | null): boolean {
  if (event?.type === 'ApiKeyStatsFlushed') return event.data.groups.includes(null)
  return event?.type === 'KeyStatsFlushed' && event.data.quota_tracked.includes(null)
}
