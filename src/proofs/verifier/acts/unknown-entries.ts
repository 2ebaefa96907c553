import type { DetailColumns } from '../../../events/amounts.ts'
import type { Details } from '../../../events/details.ts'
import type { Event } from '../../../events/event.ts'
import { combinationOf, measuresOf } from '../details.ts'
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
  /** Null for an entry of a flush without dimensions and measures. */
  details: EntryDetails | null
}

/** The combination with which an entry is counted, and its measures by number. */
export type EntryDetails = { combination: string; measures: readonly number[] }

/** Yields the entries of a flush for keys that the catalog did not have. */
export function* unknownEntriesOf(event: Event, recordedAt: string): Generator<UnknownEntry> {
  if (event.type === 'ApiKeyStatsFlushed') {
    const { groups, counts, ids, requests, successes, names, counted_at, details } = event.data
    const time = usageTimeOf(counted_at, recordedAt)
    let i = 0
    for (const [run, group] of groups.entries()) {
      for (const end = i + counts[run]!; i < end; i++) {
        if (group !== null) continue
        const name = names?.[i] ? `ext:${names[i]}` : String(ids[i])
        const sums = { requests: requests[i]!, seconds: successes[i]! }
        yield { kind: 'api_key', name, time, ...sums, accessed: 0, details: entryOf(details, i) }
      }
    }
  }
  if (event.type === 'KeyStatsFlushed') {
    const { hashes, requests, tokens, last_accessed_at, quota_tracked } = event.data
    const { counted_at, details } = event.data
    const time = usageTimeOf(counted_at, recordedAt)
    const latest = Math.floor(Date.parse(recordedAt) / 1_000) + 300
    for (const [i, name] of hashes.entries()) {
      if (quota_tracked[i] !== null) continue
      const accessed = Math.min(last_accessed_at[i]!, latest)
      const sums = { requests: requests[i]!, seconds: tokens[i]! }
      yield { kind: 'key', name, time, ...sums, accessed, details: entryOf(details, i) }
    }
  }
}

const entryOf = (details: Details | undefined, i: number): EntryDetails | null =>
  details === undefined
    ? null
    : { combination: combinationOf(details, i), measures: measuresOf(details, i) }

/** Returns the details of row i of an act. */
export function rowDetailsOf(
  combinations: readonly string[] | undefined,
  { combination, measures = {} }: DetailColumns,
  i: number,
): EntryDetails | null {
  const index = combination?.[i] ?? null
  if (combinations === undefined || index === null) return null
  const values: number[] = []
  for (const [number, column] of Object.entries(measures)) {
    if (column[i] === 0) continue
    while (values.length <= Number(number)) values.push(0)
    values[Number(number)] = column[i]!
  }
  return { combination: combinations[index]!, measures: values }
}

/** True if a flush has an entry for a key that the catalog did not have. */
export function hasUnknownEntries(event: Event | null): boolean {
  if (event?.type === 'ApiKeyStatsFlushed') return event.data.groups.includes(null)
  return event?.type === 'KeyStatsFlushed' && event.data.quota_tracked.includes(null)
}
