import type { DetailRow } from './details.ts'

/** An entry of a flush as a row: what was posted, and how it was attributed. */
export type EntryRow = DetailRow &
  (
    | {
        /** Null if only an external id was posted, which no key had. */
        api_key_id: number | null
        /** An external id that no key had when the flush was appended. */
        api_key?: string
        /** The group that counted it: 0 if there was none, null if the key was unknown. */
        group_id: number | null
        requests: number
        success_requests: number
      }
    | {
        token_hash: string
        /** True if its tokens used up a quota; null if the key was unknown. */
        quota_tracked: boolean | null
        requests: number
        tokens: number
        last_accessed_at: number
      }
  )

/** What an act added to one account, negative for what it took back; null where nothing fits. */
export type PostedRow = {
  provider_group_id: number | null
  api_key_id: number | null
  token_hash: string | null
  requests: number
  success_requests: number | null
  tokens: number | null
  quota_used: number | null
  /** Unix seconds; 0 if it states none. */
  last_accessed_at: number | null
}
