import type { DetailColumns } from './amounts.ts'
import type { ApiKeyFlush } from './api-key-flush.ts'
import { type Details, postDetails } from './details.ts'
import type { Event } from './event.ts'
import { timeOfUsage } from './instant.ts'
import { type KeyFlush, latestAccess } from './key-flush.ts'
import type { PostedDetails } from './postings.ts'
import type { Reversal } from './types/event-reversed.ts'
import type { Adoption } from './types/unknown-keys-adopted.ts'

/** The kinds of keys that a flush may name before the catalog has them. */
export type UnknownKind = 'api_key' | 'key'

/**
 * Entries for keys that were not in the catalog, or what an act took of such entries, by column.
 * They count nothing.
 */
export type UnknownEntries = {
  kind: UnknownKind
  /** As posted: the id of an API key, or `ext:` and its external id; or a token hash. */
  names: readonly string[]
  /** The times at which they count in usage (RFC 3339): a column, or one time for all. */
  times: readonly string[] | string
  requests: readonly number[]
  /** Successes of API keys, tokens of token keys. */
  seconds: readonly number[]
  /** Last accesses of token keys, in Unix seconds; 0 for none. Absent for API keys. */
  accesses?: readonly number[]
  /** The number of flushes that an act took; null for the entries of a flush. */
  flushes: readonly number[] | null
  /** The groups of adopted API keys: 0 for none. */
  groups?: readonly number[]
  /** Whether the tokens of adopted token keys used up a quota. */
  tracked?: readonly boolean[]
  /** Their dimensions and measures; absent if none has any. */
  details?: UnknownDetails
}

/** As in postings; the combination of an entry without dimensions and measures is null. */
type UnknownDetails = Omit<PostedDetails, 'combination'> & {
  combination: readonly (number | null)[]
}

const EXTERNAL = 'ext:'
const NONE: readonly UnknownEntries[] = []

/** How an entry names an API key: by its external id, if it has one, or its id. */
export const nameOfApiKey = (id: number, externalId: string | null): string =>
  externalId === null ? String(id) : EXTERNAL + externalId

/** Returns what `nameOfApiKey` made the name from. */
export const parseApiKeyName = (name: string): { id: number } | { externalId: string } =>
  name.startsWith(EXTERNAL) ? { externalId: name.slice(EXTERNAL.length) } : { id: Number(name) }

/** Returns the entries of a flush for unknown keys, or what an act took of such entries. */
export function unknownOf(event: Event, recordedAt: string): readonly UnknownEntries[] {
  switch (event.type) {
    case 'ApiKeyStatsFlushed':
      return unknownApiKeys(event.data, recordedAt)
    case 'KeyStatsFlushed':
      return unknownKeys(event.data, recordedAt)
    case 'UnknownKeysAdopted':
      return adopted(event.data)
    case 'EventReversed':
      return event.data.unknown === undefined ? NONE : withdrawn(event.data)
    default:
      return NONE
  }
}

function unknownApiKeys(flush: ApiKeyFlush, recordedAt: string): readonly UnknownEntries[] {
  const run = flush.groups.indexOf(null)
  if (run < 0) return NONE
  const start = flush.counts.slice(0, run).reduce((sum, count) => sum + count, 0)
  const part = <Value>(column: readonly Value[]) => column.slice(start, start + flush.counts[run]!)
  const { ids, requests, successes, names } = flush
  return [
    {
      kind: 'api_key',
      names: part(ids).map((id, i) => nameOfApiKey(id, names?.[start + i] ?? null)),
      times: timeOfUsage(flush.counted_at, recordedAt),
      requests: part(requests),
      seconds: part(successes),
      flushes: null,
      ...(flush.details && { details: partOfDetails(flush.details, part) }),
    },
  ]
}

function unknownKeys(flush: KeyFlush, recordedAt: string): readonly UnknownEntries[] {
  if (!flush.quota_tracked.includes(null)) return NONE
  const part = <Value>(column: readonly Value[]) =>
    column.filter((_, i) => flush.quota_tracked[i] === null)
  const latest = latestAccess(recordedAt)
  return [
    {
      kind: 'key',
      names: part(flush.hashes),
      times: timeOfUsage(flush.counted_at, recordedAt),
      requests: part(flush.requests),
      seconds: part(flush.tokens),
      accesses: part(flush.last_accessed_at).map((at) => Math.min(at, latest)),
      flushes: null,
      ...(flush.details && { details: partOfDetails(flush.details, part) }),
    },
  ]
}

/** Returns the details of some entries of a flush. */
function partOfDetails(
  details: Details,
  part: (column: readonly number[]) => readonly number[],
): UnknownDetails {
  const { combinations, combination, measures } = postDetails(details)
  return {
    ...{ combinations, combination: part(combination) },
    measures: measures.map(({ number, values }) => ({ number, values: part(values) })),
  }
}

/** Returns the details of an act's rows. */
const detailsOf = (
  combinations: readonly string[] | undefined,
  { combination = [], measures = {} }: DetailColumns,
) =>
  combinations && {
    details: {
      ...{ combinations, combination },
      measures: Object.entries(measures).map(([number, values]) => {
        return { number: Number(number), values }
      }),
    },
  }

function adopted({ api_keys, keys, combinations }: Adoption): readonly UnknownEntries[] {
  const ofApiKeys = api_keys && {
    kind: 'api_key' as const,
    names: api_keys.names,
    times: api_keys.times,
    requests: api_keys.requests,
    seconds: api_keys.successes,
    flushes: api_keys.flushes,
    groups: api_keys.groups,
    ...detailsOf(combinations, api_keys),
  }
  const ofKeys = keys && {
    kind: 'key' as const,
    names: keys.hashes,
    times: keys.times,
    requests: keys.requests,
    seconds: keys.tokens,
    flushes: keys.flushes,
    tracked: keys.tokens.map((tokens, i) => tokens === keys.quota_used[i]),
    ...detailsOf(combinations, keys),
  }
  return [ofApiKeys, ofKeys].filter((entries) => entries !== undefined)
}

/** One flush for each name, which has several rows if a sum is too large for one. */
function onceEach(names: readonly string[]): number[] {
  const seen = new Set<string>()
  return names.map((name) => {
    if (seen.has(name)) return 0
    seen.add(name)
    return 1
  })
}

/** A reversed flush is no longer there for an adoption. */
function withdrawn({ unknown, at, combinations }: Reversal): readonly UnknownEntries[] {
  const { api_keys, keys } = unknown ?? {}
  const ofApiKeys = api_keys && {
    kind: 'api_key' as const,
    names: api_keys.names,
    times: at,
    requests: api_keys.requests,
    seconds: api_keys.successes,
    flushes: onceEach(api_keys.names),
    ...detailsOf(combinations, api_keys),
  }
  const ofKeys = keys && {
    kind: 'key' as const,
    names: keys.hashes,
    times: at,
    requests: keys.requests,
    seconds: keys.tokens,
    flushes: onceEach(keys.hashes),
    ...detailsOf(combinations, keys),
  }
  return [ofApiKeys, ofKeys].filter((entries) => entries !== undefined)
}

/** Entries per part: folding this many takes some five milliseconds. */
const PART_ENTRIES = 4_096

/** Splits entries into parts that add up to the same, each with its own columns. */
export function* cutUnknown(all: readonly UnknownEntries[]): Generator<UnknownEntries, undefined> {
  for (const entries of all) {
    for (let from = 0; from < entries.names.length; from += PART_ENTRIES) {
      const cut = <Value>(column: readonly Value[]) => column.slice(from, from + PART_ENTRIES)
      const { kind, names, times, requests, seconds, flushes } = entries
      const { accesses, groups, tracked, details } = entries
      yield {
        kind,
        names: cut(names),
        times: typeof times === 'string' ? times : cut(times),
        requests: cut(requests),
        seconds: cut(seconds),
        flushes: flushes && cut(flushes),
        ...(accesses && { accesses: cut(accesses) }),
        ...(groups && { groups: cut(groups) }),
        ...(tracked && { tracked: cut(tracked) }),
        ...(details && {
          details: {
            ...{ combinations: details.combinations, combination: cut(details.combination) },
            measures: details.measures.map(({ number, values }) => ({
              ...{ number, values: cut(values) },
            })),
          },
        }),
      }
    }
  }
}
