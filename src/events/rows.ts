/** An entry of a flush as a row: what was posted, and how it was attributed. */
export type EntryRow =
  | {
      api_key_id: number
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
