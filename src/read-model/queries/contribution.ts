import type { ApiKeyFlush } from '../../events/api-key-flush.ts'
import type { Event } from '../../events/event.ts'
import type { KeyFlush } from '../../events/key-flush.ts'
import type { UsageOf } from './usage-rows.ts'

/** Sums in the order of `usageColumns`. */
export type Counted = readonly bigint[]

const NOTHING: Counted = []

/** What one event adds to what `of` has counted. */
export function contributionOf(event: Event, of: UsageOf): Counted {
  switch (event.type) {
    case 'ApiKeyStatsFlushed':
      return of.kind === 'key' ? NOTHING : ofApiKeys(event.flush, of)
    case 'KeyStatsFlushed':
      return of.kind === 'key' ? ofKey(event.flush, of.hash) : NOTHING
    case 'CatalogChanged':
    case 'ProjectionAttested':
    case 'OriginChanged':
    case 'ShardsChanged':
      return NOTHING
    default:
      return event satisfies never
  }
}

/** The sums of two. */
export function plus(a: Counted, b: Counted): Counted {
  return a.map((value, i) => value + (b[i] ?? 0n))
}

/** True of what an event adds that adds nothing. */
export const isNothing = (counted: Counted) => counted.every((value) => value === 0n)

function ofApiKeys(flush: ApiKeyFlush, of: Exclude<UsageOf, { kind: 'key' }>): Counted {
  const { groups, counts, ids, requests, successes } = flush
  const isIn = (group: number | null, id: number) => {
    if (of.kind === 'api_key') return group !== null && id === of.id
    return of.kind === 'group' ? group === of.id && group !== 0 : group !== null && group !== 0
  }
  let requested = 0n
  let succeeded = 0n
  let i = 0
  for (let run = 0; run < groups.length; run++) {
    for (const end = i + counts[run]!; i < end; i++) {
      if (!isIn(groups[run]!, ids[i]!)) continue
      requested += BigInt(requests[i]!)
      succeeded += BigInt(successes[i]!)
    }
  }
  return [requested, succeeded]
}

function ofKey(flush: KeyFlush, hash: string): Counted {
  let [requested, tokens, quotaUsed] = [0n, 0n, 0n]
  for (const [i, tracked] of flush.quota_tracked.entries()) {
    if (tracked === null || flush.hashes[i] !== hash) continue
    requested += BigInt(flush.requests[i]!)
    tokens += BigInt(flush.tokens[i]!)
    if (tracked) quotaUsed += BigInt(flush.tokens[i]!)
  }
  return [requested, tokens, quotaUsed]
}
