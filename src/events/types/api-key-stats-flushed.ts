import type { ApiKeyFlush } from '../api-key-flush.ts'
import { readApiKeyFlushBytes } from '../api-key-flush-bytes.ts'
import {
  decodeApiKeyFlush,
  decodeApiKeyFlush1,
  decodeApiKeyFlush3,
  decodePackedApiKeyFlush,
  versionOfApiKeyFlush,
} from '../api-key-flush-payload.ts'
import type { EventDefinition } from '../definition.ts'
import { detailRow, postDetails } from '../details.ts'
import { decodeCombinedExtras, decodeDetailedExtras, decodeNumberedExtras } from '../extras.ts'
import { timeOfUsage } from '../instant.ts'
import type { Postings } from '../postings.ts'
import type { EntryRow } from '../rows.ts'

/** A flush of API keys: their requests and successes. */
export const apiKeyStatsFlushed: EventDefinition<ApiKeyFlush> = {
  version: 2,
  versionOf: versionOfApiKeyFlush,
  read: {
    1: decodeApiKeyFlush1,
    2: decodeApiKeyFlush,
    3: decodeApiKeyFlush3,
    4: (payload) => decodePackedApiKeyFlush(payload, decodeCombinedExtras),
    5: (payload) => decodePackedApiKeyFlush(payload, decodeDetailedExtras),
    6: (payload) => decodePackedApiKeyFlush(payload, decodeNumberedExtras),
  },
  readBytes: readApiKeyFlushBytes,
  postsTo: ['api_key', 'provider_group'],
  post,
  toRows,
}

const NONE: readonly number[][] = []

/**
 * Posts to each key and to the group it had. Entries of unknown keys count nothing. Keys of several
 * groups are posted to at once, because a fold takes several at a time.
 */
function post(flush: ApiKeyFlush, recordedAt: string): Postings[] {
  const { groups, counts, ids, requests, successes, counted_at, details } = flush
  const sums = [requests, successes]
  const countedAt = timeOfUsage(counted_at, recordedAt)
  const postings: Postings[] = []
  let keys: Postings | null = null
  let start = 0
  for (let run = 0; run < groups.length; run++) {
    const group = groups[run]!
    const end = start + counts[run]!
    if (group === null) keys = null
    else {
      if (keys === null) {
        keys = { kind: 'api_key', accounts: ids, sums, maxima: NONE, start, end }
        postings.push(keys)
      }
      keys.end = end
      // Group 0 means a key without a group.
      if (group !== 0) {
        const kind = 'provider_group'
        postings.push({ kind, accounts: group, sums, maxima: NONE, start, end })
      }
    }
    start = end
  }
  if (countedAt === recordedAt && details === undefined) return postings
  const posted = details && postDetails(details)
  // Copies of the postings would take ten times as long.
  for (const some of postings) {
    if (countedAt !== recordedAt) some.countedAt = countedAt
    if (posted !== undefined) some.details = posted
  }
  return postings
}

function toRows(flush: ApiKeyFlush): EntryRow[] {
  const { groups, counts, ids, requests, successes, names, details } = flush
  const groupIds = groups.flatMap((group, run) => new Array(counts[run]!).fill(group))
  return ids.map((id, i) => ({
    api_key_id: id === 0 ? null : id,
    ...(names?.[i] ? { api_key: names[i] } : {}),
    group_id: groupIds[i] ?? null,
    requests: requests[i]!,
    success_requests: successes[i]!,
    ...detailRow(details, i),
  }))
}
