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
