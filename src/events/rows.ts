import type { Event } from './event.ts'

/** An entry of a flush as a row: what was posted, and how it was resolved. */
export type EntryRow =
  | {
      api_key_id: number
      /** The group that counted it; 0 none, null where the key wasn't known. */
      group_id: number | null
      requests: number
      success_requests: number
    }
  | {
      token_hash: string
      /** Whether it used up a quota; null where the key wasn't known. */
      quota_tracked: boolean | null
      requests: number
      tokens: number
      last_accessed_at: number
    }

/** Unfolds the columns of a flush into rows; null for an event that is none. */
export function toRows(event: Event): EntryRow[] | null {
  switch (event.type) {
    case 'ApiKeyStatsFlushed': {
      const { groups, counts, ids, requests, successes } = event.flush
      const groupIds = groups.flatMap((group, run) => new Array(counts[run]!).fill(group))
      return ids.map((id, i) => ({
        api_key_id: id,
        group_id: groupIds[i] ?? null,
        requests: requests[i]!,
        success_requests: successes[i]!,
      }))
    }
    case 'KeyStatsFlushed': {
      const { hashes, requests, tokens, last_accessed_at, quota_tracked } = event.flush
      return hashes.map((hash, i) => ({
        token_hash: hash,
        quota_tracked: quota_tracked[i]!,
        requests: requests[i]!,
        tokens: tokens[i]!,
        last_accessed_at: last_accessed_at[i]!,
      }))
    }
    case 'CatalogChanged':
    case 'ProjectionAttested':
    case 'OriginChanged':
    case 'ShardsChanged':
      return null
    default:
      return event satisfies never
  }
}
