/** The kinds of accounts that events post to. */
export type AccountKind = 'provider_group' | 'api_key' | 'key'

/** How tables identify the accounts of a kind, and what they count for them. */
export type AccountShape = {
  kind: AccountKind
  /** The column that identifies an account, and its SQL type. */
  id: 'provider_group_id' | 'api_key_id' | 'token_hash'
  type: 'bigint' | 'text'
  /**
   * Columns that are summed. In a flush, the second of an account with an id is never above the
   * first: a posting whose first is 0 adds nothing.
   */
  sums: readonly string[]
  /** Columns that keep the greatest value. */
  maxima: readonly string[]
}

/** Every kind of account. Counters, usage and snapshots each have one table per kind. */
export const ACCOUNTS: Readonly<Record<AccountKind, AccountShape>> = {
  provider_group: {
    kind: 'provider_group',
    id: 'provider_group_id',
    type: 'bigint',
    sums: ['requests', 'successes'],
    maxima: [],
  },
  api_key: {
    kind: 'api_key',
    id: 'api_key_id',
    type: 'bigint',
    sums: ['requests', 'successes'],
    maxima: [],
  },
  key: {
    kind: 'key',
    id: 'token_hash',
    type: 'text',
    sums: ['requests', 'tokens', 'quota_used'],
    // Unix seconds; 0 means never.
    maxima: ['last_accessed_at'],
  },
}

export const ACCOUNT_KINDS = Object.keys(ACCOUNTS) as readonly AccountKind[]
