import { createHash } from 'node:crypto'
import type { ApiKeyFlush } from '../../events/api-key-flush.ts'
import type { CatalogChange } from '../../events/catalog-change.ts'
import { type AttestedTable, type DigestValue, formatDigestRow } from '../../events/digest.ts'
import type { Event } from '../../events/event.ts'
import type { KeyFlush } from '../../events/key-flush.ts'
import { compareKeys, ExactSums } from './exact-sums.ts'

/** How many rows, and their digest as an attestation has it. */
export type Digest = { rows: number; sha256: string }

/** What a fold keeps; leaving out what nobody asks for saves memory. */
export type FoldedParts = { counters: boolean; usage: boolean; catalog: boolean }

/** Quarter-hours from `from` on, before `before`, as a digest row writes them. */
export type UsageRange = { from?: string | undefined; before?: string | undefined }

type UsageTable = 'api_key_usage' | 'provider_group_usage' | 'key_usage'
export type CatalogTable = 'provider_groups' | 'api_keys' | 'keys'

/** What is told of all counts, as they are folded. */
export interface Counting {
  /** An event that counts. */
  begin(position: number, recordedAt: string): void
  /** What it brings for a row: the columns of its table of usage. */
  add(table: CatalogTable, key: number | string, values: readonly number[]): void
}

/**
 * What all events of a shard come to, folded one after the other. Written anew from
 * docs/contract.md and docs/audit.md: it shares nothing with what the service folds with.
 */
export class ShardFold {
  /** The last event that was folded, -1 before the first. */
  position = -1
  /** When that was recorded. */
  recordedAt = ''
  counting: Counting | null = null
  readonly apiKeys = new ExactSums<number>()
  readonly groups = new ExactSums<number>()
  readonly keys = new ExactSums<string>()
  /** The last moment a key was used, Unix seconds; five minutes after it was recorded at most. */
  readonly lastAccess = new Map<string, number>()
  /** The same without that bound, of keys of which it is another. */
  readonly #postedAccess = new Map<string, number>()
  readonly catalog: Record<CatalogTable, Map<number | string, DigestValue[]>> = {
    provider_groups: new Map(),
    api_keys: new Map(),
    keys: new Map(),
  }
  readonly #usage = {
    api_key_usage: new Map<string, ExactSums<number>>(),
    provider_group_usage: new Map<string, ExactSums<number>>(),
    key_usage: new Map<string, ExactSums<string>>(),
  }

  constructor(private readonly parts: FoldedParts = ALL) {}

  /** Folds the next event; one that can't be read (null) counts nothing. */
  add(event: Event | null, position: number, recordedAt: string): void {
    this.position = position
    this.recordedAt = recordedAt
    switch (event?.type) {
      case 'ApiKeyStatsFlushed':
        this.#countApiKeys(event.data, quarterHourOf(recordedAt))
        break
      case 'KeyStatsFlushed':
        this.#countKeys(event.data, recordedAt)
        break
      case 'CatalogChanged':
        if (this.parts.catalog) this.#changeCatalog(event.data, recordedAt)
        break
      // What the service says of itself counts nothing.
      case 'ProjectionAttested':
      case 'OriginChanged':
      case 'ShardsChanged':
      case undefined:
        break
      default:
        event satisfies never
    }
  }

  /**
   * The digest of a table as it stands; of usage, the quarters from `from` on; with the last access
   * of a key as attestations of version 1 (`posted`) or 2 have it.
   */
  digest(
    table: AttestedTable,
    {
      from = '',
      lastAccess = 'bounded',
    }: { from?: string | undefined; lastAccess?: 'posted' | 'bounded' } = {},
  ): Digest {
    const digest = createHash('sha256')
    let rows = 0
    for (const row of this.rows(table, { from, lastAccess })) {
      digest.update(formatDigestRow(row))
      rows++
    }
    return { rows, sha256: digest.digest('hex') }
  }

  /** Requests and successes of all provider groups. */
  totals(): { requests: bigint; successes: bigint } {
    let [requests, successes] = [0n, 0n]
    for (const [, sums] of this.groups.entries()) {
      requests += BigInt(sums[0]!)
      successes += BigInt(sums[1]!)
    }
    return { requests, successes }
  }

  /** Forgets usage of which no attestation will be asked any more. */
  forgetUsageBefore(quarter: string): void {
    for (const usage of Object.values(this.#usage)) {
      for (const start of usage.keys()) if (start < quarter) usage.delete(start)
    }
  }

  /** The rows of a table as they stand, in the order of its digest. */
  *rows(
    table: AttestedTable,
    {
      lastAccess = 'bounded',
      ...range
    }: { lastAccess?: 'posted' | 'bounded' | undefined } & UsageRange = {},
  ): Iterable<DigestValue[]> {
    switch (table) {
      case 'api_key_counters':
        return yield* this.apiKeys.rows()
      case 'provider_group_counters':
        return yield* this.groups.rows()
      case 'key_counters':
        for (const row of this.keys.rows()) {
          const hash = String(row[0])
          const posted = lastAccess === 'posted' ? this.#postedAccess.get(hash) : undefined
          yield [...row, posted ?? this.lastAccess.get(hash) ?? 0]
        }
        return
      case 'provider_groups':
      case 'api_keys':
      case 'keys':
        for (const [id, values] of sortByKey(this.catalog[table])) yield [id, ...values]
        return
      case 'api_key_usage':
      case 'provider_group_usage':
      case 'key_usage':
        return yield* this.#usageRows(table, range)
      default:
        table satisfies never
    }
  }

  *#usageRows(table: UsageTable, { from = '', before = '9' }: UsageRange): Iterable<DigestValue[]> {
    const byKey = new Map<number | string, DigestValue[][]>()
    const quarters = [...this.#usage[table]].filter(
      ([quarter]) => quarter >= from && quarter < before,
    )
    for (const [quarter, sums] of quarters.sort(([a], [b]) => (a < b ? -1 : 1))) {
      for (const [key, values] of sums.entries()) {
        // An access alone is no usage.
        if (table === 'key_usage' && !values[0] && !values[1]) continue
        const rows = byKey.get(key) ?? []
        byKey.set(key, rows)
        rows.push([key, quarter, ...values])
      }
    }
    for (const [, rows] of sortByKey(byKey)) yield* rows
  }

  #countApiKeys({ groups, counts, ids, requests, successes }: ApiKeyFlush, quarter: string) {
    this.counting?.begin(this.position, this.recordedAt)
    const { counters, usage } = this.parts
    const ofKeys = usage ? sumsOf(this.#usage.api_key_usage, quarter) : null
    const ofGroups = usage ? sumsOf(this.#usage.provider_group_usage, quarter) : null
    let i = 0
    for (const [run, group] of groups.entries()) {
      for (const end = i + counts[run]!; i < end; i++) {
        // The key wasn't known, or nothing was asked of it.
        if (group === null || requests[i] === 0) continue
        const values = [requests[i]!, successes[i]!]
        if (counters) this.apiKeys.add(ids[i]!, values)
        ofKeys?.add(ids[i]!, values)
        this.counting?.add('api_keys', ids[i]!, values)
        if (group === 0) continue
        if (counters) this.groups.add(group, values)
        ofGroups?.add(group, values)
        this.counting?.add('provider_groups', group, values)
      }
    }
  }

  #countKeys(
    { hashes, requests, tokens, last_accessed_at, quota_tracked }: KeyFlush,
    recordedAt: string,
  ) {
    this.counting?.begin(this.position, recordedAt)
    const { counters } = this.parts
    const usage = this.parts.usage ? sumsOf(this.#usage.key_usage, quarterHourOf(recordedAt)) : null
    const latest = Math.floor(Date.parse(recordedAt) / 1_000) + 300
    for (const [i, hash] of hashes.entries()) {
      const accessed = last_accessed_at[i]!
      const isNothing = requests[i] === 0 && tokens[i] === 0 && accessed === 0
      if (quota_tracked[i] === null || isNothing) continue
      const values = [requests[i]!, tokens[i]!, quota_tracked[i] ? tokens[i]! : 0]
      usage?.add(hash, values)
      this.counting?.add('keys', hash, values)
      if (!counters) continue
      this.keys.add(hash, values)
      const last = this.lastAccess.get(hash) ?? 0
      this.lastAccess.set(hash, Math.max(last, Math.min(accessed, latest)))
      if (accessed > latest || this.#postedAccess.has(hash)) {
        this.#postedAccess.set(hash, Math.max(this.#postedAccess.get(hash) ?? last, accessed))
      }
    }
  }

  #changeCatalog({ upserted, ended }: CatalogChange, recordedAt: string): void {
    const { provider_groups, api_keys, keys } = this.catalog
    for (const [rows, endedAt] of [[upserted, null] as const, [ended, recordedAt] as const]) {
      for (const { id, name } of rows.provider_groups ?? []) {
        provider_groups.set(id, [name, endedAt])
      }
      for (const { id, group_id, name } of rows.api_keys ?? []) {
        api_keys.set(id, [group_id, name, endedAt])
      }
      for (const { token_hash, quota_limit, name } of rows.keys ?? []) {
        keys.set(token_hash, [quota_limit, name, endedAt])
      }
    }
  }
}

const ALL: FoldedParts = { counters: true, usage: true, catalog: true }

/** `2026-01-31T12:15:00.000000+00:00` of `2026-01-31T12:29:59.999999+00:00`. */
export function quarterHourOf(recordedAt: string): string {
  const minute = Number(recordedAt.slice(14, 16))
  const start = String(Math.floor(minute / 15) * 15).padStart(2, '0')
  return `${recordedAt.slice(0, 14)}${start}:00.000000+00:00`
}

function sumsOf<Key extends number | string>(
  usage: Map<string, ExactSums<Key>>,
  quarter: string,
): ExactSums<Key> {
  const sums = usage.get(quarter) ?? new ExactSums<Key>()
  usage.set(quarter, sums)
  return sums
}

function sortByKey<Value>(map: Map<number | string, Value>): [number | string, Value][] {
  return [...map].sort(([a], [b]) => compareKeys(a, b))
}
