import type { EventDefinition } from '../definition.ts'
import { type Details, detailRow, postDetails } from '../details.ts'
import { decodeCombinedExtras, decodeDetailedExtras, decodeNumberedExtras } from '../extras.ts'
import { timeOfUsage } from '../instant.ts'
import {
  decodeKeyFlush1,
  decodePackedKeyFlush,
  type KeyFlush,
  latestAccess,
  versionOfKeyFlush,
} from '../key-flush.ts'
import type { Postings } from '../postings.ts'
import type { EntryRow } from '../rows.ts'

/** A flush of token keys: their requests and tokens. */
export const keyStatsFlushed: EventDefinition<KeyFlush> = {
  version: 1,
  versionOf: versionOfKeyFlush,
  read: {
    1: decodeKeyFlush1,
    2: (payload) => decodePackedKeyFlush(payload, decodeCombinedExtras),
    3: (payload) => decodePackedKeyFlush(payload, decodeDetailedExtras),
    4: (payload) => decodePackedKeyFlush(payload, decodeNumberedExtras),
  },
  postsTo: ['key'],
  post,
  toRows,
}

/** Posts to the keys that were known. Tokens use up a quota if it was tracked. */
function post(flush: KeyFlush, recordedAt: string): Postings[] {
  const known = leaveOutUnknown(flush)
  const { hashes, requests, tokens, last_accessed_at, quota_tracked, details } = known
  const latest = latestAccess(recordedAt)
  let accesses = last_accessed_at
  let quotaUsed = tokens
  // Most flushes change neither column, so it is copied only then.
  for (let i = 0; i < hashes.length; i++) {
    if (last_accessed_at[i]! > latest) {
      if (accesses === last_accessed_at) accesses = last_accessed_at.slice()
      accesses[i] = latest
    }
    if (!quota_tracked[i] && tokens[i] !== 0) {
      if (quotaUsed === tokens) quotaUsed = tokens.slice()
      quotaUsed[i] = 0
    }
  }
  const sums = [requests, tokens, quotaUsed]
  const countedAt = timeOfUsage(flush.counted_at, recordedAt)
  return [
    {
      ...{ kind: 'key', accounts: hashes, sums, maxima: [accesses], start: 0, end: hashes.length },
      ...(countedAt === recordedAt ? {} : { countedAt }),
      ...(details && { details: postDetails(details) }),
    },
  ]
}

function leaveOutUnknown(flush: KeyFlush): KeyFlush {
  if (!flush.quota_tracked.includes(null)) return flush
  const isKnown = flush.quota_tracked.map((tracked) => tracked !== null)
  const keep = <Value>(column: readonly Value[]) => column.filter((_, i) => isKnown[i])
  return {
    hashes: keep(flush.hashes),
    requests: keep(flush.requests),
    tokens: keep(flush.tokens),
    last_accessed_at: keep(flush.last_accessed_at),
    quota_tracked: keep(flush.quota_tracked),
    ...(flush.details && { details: keepDetails(flush.details, keep) }),
  }
}

function keepDetails(details: Details, keep: (column: readonly number[]) => number[]): Details {
  return {
    ...details,
    combination: keep(details.combination),
    measures: details.measures.map((measure) => ({ ...measure, values: keep(measure.values) })),
  }
}

function toRows(flush: KeyFlush) {
  const { hashes, requests, tokens, last_accessed_at, quota_tracked, details } = flush
  return hashes.map(
    (hash, i): EntryRow => ({
      token_hash: hash,
      quota_tracked: quota_tracked[i]!,
      requests: requests[i]!,
      tokens: tokens[i]!,
      last_accessed_at: last_accessed_at[i]!,
      ...detailRow(details, i),
    }),
  )
}
