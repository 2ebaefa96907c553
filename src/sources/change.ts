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

/** The sums, times and sequences that some flushes add to a source. */
export type SourceChange = {
  source: string
  apiKeys: Counts
  keys: Counts
  /** The times of the newest flushes, the oldest first: RFC 3339 in UTC, with microseconds. */
  recent: string[]
  isEnded: boolean
  /** The sequences of those flushes that have one, with the time of each. */
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

/** The changes of an event of the log, or of a whole commit, up to a position of its shard. */
export type Part = { position: number; recordedAt: string; changes: SourceChange[] }

const unchanged = (source: string): SourceChange => ({
  source,
  apiKeys: { flushes: 0, requests: 0, seconds: 0 },
  keys: { flushes: 0, requests: 0, seconds: 0 },
  ...{ recent: [], isEnded: false, sequences: [] },
})

/** Returns what one flush adds. */
export function toChange({ source, recordedAt, ...flush }: SourceFlush): SourceChange {
  const change = unchanged(source)
  addFlush(change, flush, recordedAt)
  return change
}

/** Returns what the flushes of a commit add: one change for each source. */
export function changesOf(
  events: readonly AttributedFlush[],
  sources: readonly string[],
  recordedAt: string,
): SourceChange[] {
  const changes: SourceChange[] = []
  for (const [i, { type, data }] of events.entries()) {
    const source = sources[i]!
    let change = changes.find((other) => other.source === source)
    if (change === undefined) {
      change = unchanged(source)
      changes.push(change)
    }
    const requests = sumOf(data.requests)
    const seconds = sumOf(type === 'ApiKeyStatsFlushed' ? data.successes : data.tokens)
    addFlush(change, { type, requests, seconds, sequence: data.sequence ?? null }, recordedAt)
  }
  return changes
}

function addFlush(
  change: SourceChange,
  { type, requests, seconds, sequence: text }: Omit<SourceFlush, 'source' | 'recordedAt'>,
  at: string,
): void {
  const counts = type === 'ApiKeyStatsFlushed' ? change.apiKeys : change.keys
  addCounts(counts, { flushes: 1, requests, seconds })
  // The flushes of a commit have the same time.
  if (change.recent.length < MAX_RECENT) change.recent.push(at)
  const sequence = text === null ? null : parseSequence(text)
  change.isEnded = sequence?.isEnd ?? false
  if (sequence !== null) change.sequences.push({ sequence, at })
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
