/**
 * The tables of the projections that an attestation is of, with the columns of a row, those that
 * name it first. Every shard has them; `catalog` tables only shard 0, where the catalog is.
 *
 * `usage` tables grow with the time: an attestation takes the quarters of an hour from the last
 * one's on, so that each quarter is attested once more after nothing can change in it.
 */
export const ATTESTED_TABLES = {
  api_key_counters: { columns: ['api_key_id', 'requests', 'successes'], of: 'counters' },
  provider_group_counters: {
    columns: ['provider_group_id', 'requests', 'successes'],
    of: 'counters',
  },
  key_counters: {
    columns: ['token_hash', 'requests', 'tokens', 'quota_used', 'last_accessed_at'],
    of: 'counters',
  },
  provider_groups: { columns: ['id', 'name', 'ended_at'], of: 'catalog' },
  api_keys: { columns: ['id', 'group_id', 'name', 'ended_at'], of: 'catalog' },
  keys: { columns: ['token_hash', 'quota_limit', 'name', 'ended_at'], of: 'catalog' },
  api_key_usage: { columns: ['api_key_id', 'quarter', 'requests', 'successes'], of: 'usage' },
  provider_group_usage: {
    columns: ['provider_group_id', 'quarter', 'requests', 'successes'],
    of: 'usage',
  },
  key_usage: {
    columns: ['token_hash', 'quarter', 'requests', 'tokens', 'quota_used'],
    of: 'usage',
  },
} as const satisfies Record<string, AttestedColumns>

export type AttestedColumns = {
  columns: readonly string[]
  of: 'counters' | 'catalog' | 'usage'
}

export type AttestedTable = keyof typeof ATTESTED_TABLES

/** A value of a row: times are text as in a leaf, `2026-01-31T12:00:00.123456+00:00`. */
export type DigestValue = number | bigint | string | null

/**
 * A row as it goes into its table's digest: compact JSON, all digits of a number, and a newline.
 *
 *     [7,10,9]
 *     ["50d8…","2026-01-31T12:15:00.000000+00:00",10,200,200]
 *
 * The digest is the SHA-256 of all rows' UTF-8, in the order of what names them: ids as numbers,
 * token hashes by their bytes in UTF-8, then quarters.
 */
export function formatDigestRow(values: readonly DigestValue[]): string {
  const texts = values.map((value) => (typeof value === 'string' ? JSON.stringify(value) : value))
  return `[${texts.map(String).join(',')}]\n`
}
