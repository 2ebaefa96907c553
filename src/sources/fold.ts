import { addExact, type Exact, toExact } from '../events/exact.ts'
import { parseSequence, type Sequence } from '../events/sequence.ts'
import type { SourceFlush } from './source-flush.ts'

/** Times that are kept of a source: those of the newest 20 intervals. */
export const MAX_RECENT = 21

/** The flushes of one kind that a source has posted: their number, and their sums. */
export type Counts = { flushes: number; requests: Exact; seconds: Exact }

/** What some flushes add to a source. */
export type SourceChange = {
  source: string
  apiKeys: Counts
  keys: Counts
  /** The times of the newest flushes, the oldest first. */
  recent: string[]
  isEnded: boolean
  /** Of the flushes that have one, with the time of each. */
  sequences: { sequence: Sequence; at: string }[]
}

/** Folds flushes in the order in which they were recorded, and returns the changes of sources. */
export function foldFlushes(flushes: readonly SourceFlush[]): SourceChange[] {
  const changes = new Map<string, SourceChange>()
  for (const flush of flushes) {
    const change = changes.get(flush.source) ?? unchanged(flush.source)
    changes.set(flush.source, change)
    addFlush(change, flush)
  }
  return [...changes.values()]
}

const unchanged = (source: string): SourceChange => ({
  source,
  apiKeys: { flushes: 0, requests: 0, seconds: 0 },
  keys: { flushes: 0, requests: 0, seconds: 0 },
  ...{ recent: [], isEnded: false, sequences: [] },
})

function addFlush(change: SourceChange, flush: SourceFlush): void {
  const { type, requests, seconds, recordedAt } = flush
  const counts = type === 'ApiKeyStatsFlushed' ? change.apiKeys : change.keys
  counts.flushes++
  counts.requests = add(counts.requests, requests)
  counts.seconds = add(counts.seconds, seconds)
  change.recent.push(recordedAt)
  if (change.recent.length > MAX_RECENT) change.recent.shift()
  const sequence = flush.sequence === null ? null : parseSequence(flush.sequence)
  change.isEnded = sequence?.isEnd ?? false
  if (sequence !== null) change.sequences.push({ sequence, at: recordedAt })
}

const add = (sum: Exact, more: Exact): Exact =>
  typeof more === 'number' ? addExact(sum, more) : toExact(String(BigInt(sum) + more))
