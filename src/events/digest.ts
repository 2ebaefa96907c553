/** The version of attestations that covers backdated usage. */
const BACKDATED = 3

/** The version that covers dimensions and measures; it is written once any was declared. */
export const DECLARED = 4

/**
 * The projection tables that an attestation covers, with the columns of a row, key columns first.
 * Every shard attests them, except that only shard 0, which has the catalog, attests `catalog`.
 *
 * `usage` tables grow over time: an attestation covers the 15-minute buckets from the one of the
 * last attestation on, so that each bucket is attested once more after it can no longer change.
 * `backdated` tables only get more rows: an attestation covers those that were recorded since the
 * last one, and so every bucket that they change. `parts` and `backdated_parts` are the same by
 * combination of dimensions.
 */
export const ATTESTED_TABLES = {
  api_key_counters: { columns: ['api_key_id', 'requests', 'successes'], kind: 'counters' },
  provider_group_counters: {
    columns: ['provider_group_id', 'requests', 'successes'],
    kind: 'counters',
  },
  key_counters: {
    columns: ['token_hash', 'requests', 'tokens', 'quota_used', 'last_accessed_at'],
    kind: 'counters',
  },
  provider_groups: {
    columns: ['id', 'name', 'ended_at', 'external_id'],
    kind: 'catalog',
    optional: 1,
  },
  api_keys: {
    columns: ['id', 'group_id', 'name', 'ended_at', 'external_id'],
    kind: 'catalog',
    optional: 1,
  },
  keys: {
    columns: ['token_hash', 'quota_limit', 'name', 'ended_at', 'quota_period', 'quota_tz'],
    kind: 'catalog',
    optional: 2,
  },
  dimensions: { columns: ['name', 'ended_at'], kind: 'catalog', since: DECLARED },
  measures: {
    columns: ['name', 'number', 'ended_at', 'unit'],
    kind: 'catalog',
    optional: 1,
    since: DECLARED,
  },
  api_key_measures: { columns: ['api_key_id', 'measures'], kind: 'counters', since: DECLARED },
  provider_group_measures: {
    columns: ['provider_group_id', 'measures'],
    kind: 'counters',
    since: DECLARED,
  },
  key_measures: { columns: ['token_hash', 'measures'], kind: 'counters', since: DECLARED },
  api_key_usage: { columns: ['api_key_id', 'quarter', 'requests', 'successes'], kind: 'usage' },
  provider_group_usage: {
    columns: ['provider_group_id', 'quarter', 'requests', 'successes'],
    kind: 'usage',
  },
  key_usage: {
    columns: ['token_hash', 'quarter', 'requests', 'tokens', 'quota_used'],
    kind: 'usage',
  },
  api_key_backdated_usage: {
    columns: ['api_key_id', 'quarter', 'position', 'requests', 'successes'],
    kind: 'backdated',
    since: BACKDATED,
  },
  provider_group_backdated_usage: {
    columns: ['provider_group_id', 'quarter', 'position', 'requests', 'successes'],
    kind: 'backdated',
    since: BACKDATED,
  },
  key_backdated_usage: {
    columns: ['token_hash', 'quarter', 'position', 'requests', 'tokens', 'quota_used'],
    kind: 'backdated',
    since: BACKDATED,
  },
  api_key_parts: {
    columns: ['api_key_id', 'quarter', 'combination', 'requests', 'successes', 'measures'],
    kind: 'parts',
    since: DECLARED,
  },
  provider_group_parts: {
    columns: ['provider_group_id', 'quarter', 'combination', 'requests', 'successes', 'measures'],
    kind: 'parts',
    since: DECLARED,
  },
  key_parts: {
    columns: [
      ...(['token_hash', 'quarter', 'combination'] as const),
      ...(['requests', 'tokens', 'quota_used', 'measures'] as const),
    ],
    kind: 'parts',
    since: DECLARED,
  },
  api_key_backdated_parts: {
    columns: [
      ...(['api_key_id', 'quarter', 'position', 'combination'] as const),
      ...(['requests', 'successes', 'measures'] as const),
    ],
    kind: 'backdated_parts',
    since: DECLARED,
  },
  provider_group_backdated_parts: {
    columns: [
      ...(['provider_group_id', 'quarter', 'position', 'combination'] as const),
      ...(['requests', 'successes', 'measures'] as const),
    ],
    kind: 'backdated_parts',
    since: DECLARED,
  },
  key_backdated_parts: {
    columns: [
      ...(['token_hash', 'quarter', 'position', 'combination'] as const),
      ...(['requests', 'tokens', 'quota_used', 'measures'] as const),
    ],
    kind: 'backdated_parts',
    since: DECLARED,
  },
} as const satisfies Record<string, AttestedColumns>

export type AttestedColumns = {
  columns: readonly string[]
  kind: 'counters' | 'catalog' | 'usage' | 'backdated' | 'parts' | 'backdated_parts'
  /**
   * How many of the last columns are optional. A row ends before the last of them that are null: so
   * the rows of a catalog without external ids or quota periods are those of releases that had
   * none.
   */
  optional?: number
  /** The first version of attestations that covers the table; 1 if absent. */
  since?: number
}

/** Returns the version of an attestation that covers these tables. */
export function versionOfAttested(tables: readonly { table: string }[]): number {
  const attested: Record<string, AttestedColumns> = ATTESTED_TABLES
  return Math.max(BACKDATED, ...tables.map(({ table }) => attested[table]?.since ?? 1))
}

/** How many columns identify a row, by the kind of table. */
export const KEY_COLUMNS = {
  ...{ counters: 1, catalog: 1, usage: 2, backdated: 3 },
  ...{ parts: 3, backdated_parts: 4 },
} as const

export type AttestedTable = keyof typeof ATTESTED_TABLES

/** A value of a row. Times are text as in a leaf: `2026-01-31T12:00:00.123456+00:00`. */
export type DigestValue = number | bigint | string | null | readonly (number | bigint)[]

/** Formats a row of a table for its digest. */
export function formatTableRow(table: AttestedTable, values: readonly DigestValue[]): string {
  const { columns, optional = 0 } = ATTESTED_TABLES[table] as AttestedColumns
  let end = values.length
  while (end > columns.length - optional && values[end - 1] === null) end--
  return formatDigestRow(values.slice(0, end))
}

/**
 * Formats a row for its table's digest: compact JSON, with all digits of a number, and a newline.
 *
 *     [7,10,9]
 *     [7,1,"checkout",null,"sk-9f"]
 *     ["50d8…",1000,"alice",null,"month"]
 *     ["50d8…","2026-01-31T12:15:00.000000+00:00",10,200,200]
 *     ["50d8…","-infinity",41,-10,-200,-200]
 *     [7,"2026-01-31T12:15:00.000000+00:00","{\"model\":\"gpt-5\"}",10,9,[1200,0,310]]
 *
 * The digest is the SHA-256 of all rows in UTF-8, ordered by key: ids as numbers, token hashes by
 * their bytes in UTF-8, then buckets by time (`-infinity`, for what counts in none, comes first),
 * then positions, then combinations by their bytes.
 */
export function formatDigestRow(values: readonly DigestValue[]): string {
  const texts = values.map((value) => {
    if (typeof value === 'string') return JSON.stringify(value)
    return Array.isArray(value) ? `[${value.join(',')}]` : value
  })
  return `[${texts.map(String).join(',')}]\n`
}
