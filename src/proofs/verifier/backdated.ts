import type { Amounts } from '../../events/amounts.ts'
import type { DigestValue } from '../../events/digest.ts'
import type { CatalogTable } from './change-catalog.ts'
import { ExactSums, sortByKey } from './exact-sums.ts'
import type { RecordedRange } from './folded-parts.ts'

export type BackdatedTable =
  | 'api_key_backdated_usage'
  | 'provider_group_backdated_usage'
  | 'key_backdated_usage'

/** What was counted in another bucket than that of its time, or in none. */
type Backdated = { bucket: string; position: number; sums: ExactSums<number | string> }

/** The number of positions whose flushes share rows. */
export const BLOCK = 4_096

/** Returns the last position of the block of a flush. */
export const endOfBlock = (position: number): number =>
  (Math.floor(position / BLOCK) + 1) * BLOCK - 1

const TABLES = {
  provider_groups: 'provider_group_backdated_usage',
  api_keys: 'api_key_backdated_usage',
  keys: 'key_backdated_usage',
} as const

/**
 * Backdated usage of a shard, by the position through which it was recorded: that of an act, or the
 * last one of its block for a flush.
 */
export class BackdatedUsage {
  /** By position and bucket. */
  readonly #rows: Record<BackdatedTable, Map<string, Backdated>> = {
    api_key_backdated_usage: new Map(),
    provider_group_backdated_usage: new Map(),
    key_backdated_usage: new Map(),
  }

  /** The sums of the act at `position` in a bucket. */
  ofAct(table: CatalogTable, bucket: string, position: number): ExactSums<number | string> {
    const rows = this.#rows[TABLES[table]]
    const key = `${position} ${bucket}`
    const found = rows.get(key) ?? { bucket, position, sums: new ExactSums() }
    rows.set(key, found)
    return found.sums
  }

  /** The sums of the flushes in the block of `position` in a bucket. */
  ofFlush(table: CatalogTable, bucket: string, position: number): ExactSums<number | string> {
    return this.ofAct(table, bucket, endOfBlock(position))
  }

  /** The number of rows. */
  get size(): number {
    let size = 0
    for (const rows of Object.values(this.#rows)) {
      for (const { sums } of rows.values()) size += sums.size
    }
    return size
  }

  /** Drops what was recorded at or before `position`. */
  forgetThrough(position: number): void {
    for (const rows of Object.values(this.#rows)) {
      for (const [key, one] of rows) if (one.position <= position) rows.delete(key)
    }
  }

  /** The rows recorded after `after` through `through`, in the order of the table's digest. */
  *rows(table: BackdatedTable, { after, through }: RecordedRange): Iterable<DigestValue[]> {
    const byKey = new Map<number | string, [string, number, ...DigestValue[]][]>()
    for (const { bucket, position, sums } of this.#rows[table].values()) {
      if (position <= after || position > through) continue
      for (const [key, values] of sums.entries()) {
        const rows = byKey.get(key) ?? []
        byKey.set(key, rows)
        rows.push([bucket, position, ...values])
      }
    }
    for (const [key, rows] of sortByKey(byKey)) {
      rows.sort((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] < b[0] ? -1 : 1))
      for (const row of rows) yield [key, ...row]
    }
  }
}

/** A row of an act, as it counts. */
type Row = { table: CatalogTable; key: number | string; values: number[]; accessed: number }

/** The rows of an act's amounts; `sign` -1 takes them back. */
export function* rowsOf({ provider_groups, api_keys, keys }: Amounts, sign: 1 | -1): Iterable<Row> {
  for (const [table, rows] of [
    ['provider_groups', provider_groups],
    ['api_keys', api_keys],
  ] as const) {
    for (const [i, key] of rows?.ids.entries() ?? []) {
      const values = [sign * rows!.requests[i]!, sign * rows!.successes[i]!]
      yield { table, key, values, accessed: 0 }
    }
  }
  for (const [i, key] of keys?.hashes.entries() ?? []) {
    const amounts = [keys!.requests[i]!, keys!.tokens[i]!, keys!.quota_used[i]!]
    const values = amounts.map((amount) => sign * amount)
    yield { table: 'keys', key, values, accessed: keys!.last_accessed_at?.[i] ?? 0 }
  }
}
