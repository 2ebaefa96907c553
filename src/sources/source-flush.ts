import { addExact, type Exact } from '../events/exact.ts'
import type { AttributedFlush } from '../events/flush.ts'

/** What is folded of a flush. It has the same size however many entries the flush has. */
export type SourceFlush = {
  source: string
  /** RFC 3339 in UTC, with microseconds. */
  recordedAt: string
  type: AttributedFlush['type']
  /** The sums over all entries, whether their keys were known or not. */
  requests: Exact
  /** Successes of API keys, tokens of token keys. */
  seconds: Exact
  sequence: string | null
}

/** Returns what is folded of a flush that `source` posted. */
export function toSourceFlush(
  { type, data }: AttributedFlush,
  source: string,
  recordedAt: string,
): SourceFlush {
  const seconds = type === 'ApiKeyStatsFlushed' ? data.successes : data.tokens
  return {
    ...{ source, recordedAt, type },
    ...{ requests: sumOf(data.requests), seconds: sumOf(seconds) },
    sequence: data.sequence ?? null,
  }
}

function sumOf(counts: readonly number[]): Exact {
  let sum = 0
  for (const count of counts) sum += count
  return Number.isSafeInteger(sum) ? sum : counts.reduce<Exact>(addExact, 0)
}
