/** What events count for. */
export type AccountKind = 'provider_group' | 'api_key' | 'key'

/** What accounts of a kind are called in tables, and what is counted for them. */
export type AccountShape = {
  kind: AccountKind
  /** The column that names an account, and its type. */
  id: 'provider_group_id' | 'api_key_id' | 'token_hash'
  type: 'bigint' | 'text'
  /** Columns whose values are added up. */
  sums: readonly string[]
  /** Columns of which the greatest value counts. */
  maxima: readonly string[]
}

/** Every kind of account. Counters, usage and snapshots have a table for each, of one form. */
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
    // Unix seconds; 0 is never.
    maxima: ['last_accessed_at'],
  },
}

export const ACCOUNT_KINDS = Object.keys(ACCOUNTS) as readonly AccountKind[]
