/**
 * A provider group or an API key of an older system. `ref` names it there: its id, or the name by
 * which the gateway knows it.
 */
export type OldRated = {
  ref: string
  name: string | null
  requests: bigint
  successes: bigint
  isDeleted: boolean
}

export type OldApiKey = OldRated & {
  /** The `ref` of its provider group; null if it has none. */
  group: string | null
}

export type OldKey = {
  /** Its hash, as the gateway posts it. */
  ref: string
  name: string | null
  /** The `ref` of a provider group, if the older system has token keys in groups. */
  group: string | null
  requests: bigint
  tokens: bigint
  /** What it has used of its quota, in the unit of the older system. */
  used: bigint
  /** Null if it is unlimited. */
  limit: bigint | null
  /** `none`, `day`, `week` or `month`; any other text is a period that quotas cannot have. */
  period: string
  /** Unix seconds; null if it was never used. */
  lastAccess: bigint | null
  isDeleted: boolean
}

/** Sums that the older database computed itself, of rows of one kind. */
export type DatabaseTotals = Record<string, bigint>

/** What an older system had counted, read in one snapshot. */
export type OldBooks = {
  groups: OldRated[]
  apiKeys: OldApiKey[]
  keys: OldKey[]
  /** Sums by SQL in the same snapshot, to compare with the sums of the rows. */
  totals: { groups?: DatabaseTotals; apiKeys: DatabaseTotals; keys: DatabaseTotals }
  /** Requests of keys that the older system no longer has. */
  orphaned: bigint
  /** Remarks for people, a sentence each. */
  notes: string[]
}

/** An older system: how to read it, and what its quotas count. */
export type OldSystem = {
  name: string
  /** What a `ref` of a provider group or an API key is in the catalog. */
  namedBy: 'id' | 'external_id'
  databases: readonly Dialect[]
  /** The unit of quotas, if it is not that of the tokens that a gateway posts. */
  quotaUnit: string | null
  read(database: OldDatabase): Promise<OldBooks>
}

export type Dialect = 'PostgreSQL' | 'SQLite' | 'MySQL'

/** A snapshot of an older database. Every value that it returns is a text or null. */
export type OldDatabase = {
  dialect: Dialect
  /** Returns the columns of a table with their types; none if there is no such table. */
  columnsOf(table: string): Promise<Map<string, string>>
  /** Runs a query whose columns are all cast to text. */
  select(query: string): Promise<Record<string, string | null>[]>
}
