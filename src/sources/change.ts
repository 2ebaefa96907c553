import { addExact, type Exact, toExact } from '../events/exact.ts'
import type { AttributedFlush } from '../events/flush.ts'
import { parseSequence, type Sequence } from '../events/sequence.ts'

/** Times that are kept of a source: those of the newest 20 intervals. */
export const MAX_RECENT = 21

/**
 * The flushes of one kind that a source has posted: their number, and the sums over all entries,
 * whether their keys were known or not. `seconds` are successes of API keys, tokens of token keys.
 */
export type Counts = { flushes: number; requests: Exact; seconds: Exact }

/** What some flushes add to a source. */
export type SourceChange = {
  source: string
  apiKeys: Counts
  keys: Counts
  /** The times of the newest flushes, the oldest first: RFC 3339 in UTC, with microseconds. */
  recent: string[]
  isEnded: boolean
  /** Of the flushes that have one, with the time of each. */
  sequences: { sequence: Sequence; at: string }[]
}

/** A flush that `source` posted: its sums, and its sequence as sent. */
export type SourceFlush = {
  type: AttributedFlush['type']
  source: string
  recordedAt: string
  requests: Exact
  seconds: Exact
  sequence: string | null
}

const NONE: Counts = { flushes: 0, requests: 0, seconds: 0 }

/** Returns what one flush adds. */
export function toChange(flush: SourceFlush): SourceChange {
  const { type, source, recordedAt: at, requests, seconds } = flush
  const counts = { flushes: 1, requests, seconds }
  const isApiKeys = type === 'ApiKeyStatsFlushed'
  const sequence = flush.sequence === null ? null : parseSequence(flush.sequence)
  return {
    source,
    apiKeys: isApiKeys ? counts : NONE,
    keys: isApiKeys ? NONE : counts,
    recent: [at],
    isEnded: sequence?.isEnd ?? false,
    sequences: sequence === null ? [] : [{ sequence, at }],
  }
}

/** Returns what the flush of an event adds. */
export function changeOf(
  { type, data }: AttributedFlush,
  source: string,
  recordedAt: string,
): SourceChange {
  return toChange({
    ...{ type, source, recordedAt },
    requests: sumOf(data.requests),
    seconds: sumOf(type === 'ApiKeyStatsFlushed' ? data.successes : data.tokens),
    sequence: data.sequence ?? null,
  })
}

/** Returns what the flushes of a commit add: one change for each source, with few objects. */
export function changesOf(
  events: readonly AttributedFlush[],
  sources: readonly string[],
  recordedAt: string,
): SourceChange[] {
  const changes: SourceChange[] = []
  let change: SourceChange | undefined
  for (let i = 0; i < events.length; i++) {
    const { type, data } = events[i]!
    const source = sources[i]!
    if (change?.source !== source) {
      change = changes.find((other) => other.source === source)
      if (change === undefined) {
        change = copy({
          source,
          apiKeys: NONE,
          keys: NONE,
          recent: [],
          isEnded: false,
          sequences: [],
        })
        changes.push(change)
      }
    }
    const isApiKeys = type === 'ApiKeyStatsFlushed'
    const counts = isApiKeys ? change.apiKeys : change.keys
    counts.flushes++
    counts.requests = add(counts.requests, sumOf(data.requests))
    counts.seconds = add(counts.seconds, sumOf(isApiKeys ? data.successes : data.tokens))
    if (change.recent.length < MAX_RECENT) change.recent.push(recordedAt)
    const sequence = data.sequence === undefined ? null : parseSequence(data.sequence)
    change.isEnded = sequence?.isEnd ?? false
    if (sequence !== null) change.sequences.push({ sequence, at: recordedAt })
  }
  return changes
}

/** Joins changes, in the order in which their flushes were recorded: one for each source. */
export function joinChanges(changes: readonly SourceChange[]): SourceChange[] {
  const joined = new Map<string, SourceChange>()
  for (const change of changes) {
    const before = joined.get(change.source)
    if (before === undefined) joined.set(change.source, copy(change))
    else addTo(before, change)
  }
  return [...joined.values()]
}

const copy = ({ apiKeys, keys, recent, sequences, ...change }: SourceChange): SourceChange => ({
  ...change,
  ...{ apiKeys: { ...apiKeys }, keys: { ...keys } },
  ...{ recent: [...recent], sequences: [...sequences] },
})

function addTo(before: SourceChange, change: SourceChange): void {
  addCounts(before.apiKeys, change.apiKeys)
  addCounts(before.keys, change.keys)
  before.recent.push(...change.recent)
  if (before.recent.length > MAX_RECENT) {
    before.recent.splice(0, before.recent.length - MAX_RECENT)
  }
  before.isEnded = change.isEnded
  before.sequences.push(...change.sequences)
}

function addCounts(counts: Counts, more: Counts): void {
  if (more.flushes === 0) return
  counts.flushes += more.flushes
  counts.requests = add(counts.requests, more.requests)
  counts.seconds = add(counts.seconds, more.seconds)
}

const add = (sum: Exact, more: Exact): Exact =>
  typeof more === 'number' ? addExact(sum, more) : toExact(String(BigInt(sum) + more))

function sumOf(counts: readonly number[]): Exact {
  let sum = 0
  for (const count of counts) sum += count
  return Number.isSafeInteger(sum) ? sum : counts.reduce<Exact>(addExact, 0)
}
