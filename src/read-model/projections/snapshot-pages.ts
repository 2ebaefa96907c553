import { ACCOUNTS, type AccountKind } from '../../events/accounts.ts'

/**
 * Accounts per row: large enough to compress well, small enough that one account is found cheaply.
 */
export const PAGE_ACCOUNTS = 1_000

/** Names the table with snapshots of accounts of a kind, and its account columns. */
export function snapshotTable(kind: AccountKind) {
  const table = `${kind}_snapshots`
  return ACCOUNTS[kind].type === 'text'
    ? { table, first: 'first_hash', last: 'last_hash', accounts: 'token_hashes' }
    : { table, first: 'first_id', last: 'last_id', accounts: 'ids' }
}
