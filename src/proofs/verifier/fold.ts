import { createHash } from 'node:crypto'
import type { Amounts } from '../../events/amounts.ts'
import type { ApiKeyFlush } from '../../events/api-key-flush.ts'
import { type AttestedTable, type DigestValue, formatTableRow } from '../../events/digest.ts'
import type { Event } from '../../events/event.ts'
import type { Exact } from '../../events/exact.ts'
import type { KeyFlush } from '../../events/key-flush.ts'
import { amountsOf } from './adopted.ts'
import { BackdatedUsage, rowsOf } from './backdated.ts'
import { type CatalogRows, type CatalogTable, changeCatalog } from './change-catalog.ts'
import type { Counting } from './counting.ts'
import { DetailFold, type DetailTable } from './details.ts'
import { ExactSums, sortByKey } from './exact-sums.ts'
import type { FoldedParts, UsageRange } from './folded-parts.ts'
import { quarterHourOf, usageTimeOf } from './usage-time.ts'

/** The number of rows, and their digest as in an attestation. */
export type Digest = { rows: number; sha256: string }

const USAGE_TABLES = {
  provider_groups: 'provider_group_usage',
  api_keys: 'api_key_usage',
  keys: 'key_usage',
} as const
type UsageTable = (typeof USAGE_TABLES)[CatalogTable]

/**
 * Folds the events of a shard, one after the other. Written from docs/reference/contract.md and
 * docs/reference/log-format.md: it shares no code with the folds of the service.
 */
export class ShardFold {
  /** Position of the last folded event, -1 before the first. */
  position = -1
  /** When that event was recorded. */
  recordedAt = ''
  counting: Counting | null = null
  readonly apiKeys = new ExactSums<number>()
  readonly groups = new ExactSums<number>()
  readonly keys = new ExactSums<string>()
  /** When a key was last used (Unix seconds), at most five minutes after the event was recorded. */
  readonly lastAccess = new Map<string, number>()
  /** The same without that bound, for keys where it differs. */
  readonly #postedAccess = new Map<string, number>()
  readonly catalog: CatalogRows = {
    ...{ provider_groups: new Map(), api_keys: new Map(), keys: new Map() },
    ...{ dimensions: new Map(), measures: new Map() },
  }
  readonly #usage: Record<UsageTable, Map<string, ExactSums<number | string>>> = {
    api_key_usage: new Map(),
    provider_group_usage: new Map(),
    key_usage: new Map(),
  }
  readonly #backdated = new BackdatedUsage()
  readonly #details: DetailFold

  constructor(private readonly parts: FoldedParts = ALL) {
    this.#details = new DetailFold(parts)
  }

  /** Folds the next event. An event that can't be decoded (null) counts nothing. */
  add(event: Event | null, position: number, recordedAt: string): void {
    this.position = position
    this.recordedAt = recordedAt
    this.#details.add(event, position, recordedAt, this.counting)
    switch (event?.type) {
      case 'ApiKeyStatsFlushed':
        this.#countApiKeys(event.data)
        break
      case 'KeyStatsFlushed':
        this.#countKeys(event.data)
        break
      case 'CatalogChanged':
        if (this.parts.catalog) changeCatalog(this.catalog, event.data, recordedAt)
        break
      case 'BalancesOpened':
      case 'TotalsAdjusted':
        this.#countAmounts(event.data, 1, null)
        break
      case 'QuotaReset':
        this.#countAmounts({ keys: event.data.keys }, -1, null)
        break
      case 'EventReversed': {
        const { type, at } = event.data
        const isUsage = type === 'ApiKeyStatsFlushed' || type === 'KeyStatsFlushed'
        this.#countAmounts(event.data, -1, isUsage ? at : null)
        break
      }
      case 'UnknownKeysAdopted':
        for (const [time, amounts] of amountsOf(event.data)) this.#countAmounts(amounts, 1, time)
        break
      // These count nothing.
      case 'RuleCrossed':
      case 'RuleCleared':
      case 'TokenCreated':
      case 'TokenRevoked':
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
   * Returns the digest of a table at the current position. Of usage, only the buckets from `from`
   * on; of backdated usage, only what was recorded after `after`. `lastAccess` selects how
   * attestations state a key's last access: `posted` in version 1, `bounded` since version 2.
   */
  digest(table: AttestedTable, selection: RowSelection = {}): Digest {
    const digest = createHash('sha256')
    let rows = 0
    for (const row of this.rows(table, selection)) {
      digest.update(formatTableRow(table, row))
      rows++
    }
    return { rows, sha256: digest.digest('hex') }
  }

  /** Returns the totals of an account's measures by number. */
  measuresOf(kind: 'provider_group' | 'api_key' | 'key', key: number | string): readonly Exact[] {
    return this.#details.measuresOf(kind, key)
  }

  /** Returns the requests and successes of all provider groups. */
  totals(): { requests: bigint; successes: bigint } {
    let [requests, successes] = [0n, 0n]
    for (const [, sums] of this.groups.entries()) {
      requests += BigInt(sums[0]!)
      successes += BigInt(sums[1]!)
    }
    return { requests, successes }
  }

  /** Drops usage of 15-minute buckets before `bucket`, which no later attestation needs. */
  forgetUsageBefore(bucket: string): void {
    for (const usage of Object.values(this.#usage)) {
      for (const start of usage.keys()) if (start < bucket) usage.delete(start)
    }
    this.#details.forgetUsageBefore(bucket)
  }

  /** The number of rows of backdated usage. */
  get backdatedRows(): number {
    return this.#backdated.size + this.#details.backdatedRows
  }

  /** Drops backdated usage that was recorded at or before `position`. */
  forgetBackdatedThrough(position: number): void {
    this.#backdated.forgetThrough(position)
    this.#details.forgetBackdatedThrough(position)
  }

  /** The rows of a table as they stand, in the order of its digest. */
  *rows(
    table: AttestedTable,
    { lastAccess = 'bounded', after = -1, through = MAX_POSITION, ...range }: RowSelection = {},
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
      case 'dimensions':
      case 'measures':
        for (const [id, values] of sortByKey(this.catalog[table])) yield [id, ...values]
        return
      case 'api_key_usage':
      case 'provider_group_usage':
      case 'key_usage':
        return yield* this.#usageRows(table, range)
      case 'api_key_backdated_usage':
      case 'provider_group_backdated_usage':
      case 'key_backdated_usage':
        return yield* this.#backdated.rows(table, { after, through })
      default:
        yield* this.#details.rows(table satisfies DetailTable, { ...range, after, through })
    }
  }

  *#usageRows(table: UsageTable, { from = '', before = '9' }: UsageRange): Iterable<DigestValue[]> {
    const byKey = new Map<number | string, DigestValue[][]>()
    const buckets = [...this.#usage[table]].filter(([bucket]) => bucket >= from && bucket < before)
    for (const [bucket, sums] of buckets.sort(([a], [b]) => (a < b ? -1 : 1))) {
      for (const [key, values] of sums.entries()) {
        const rows = byKey.get(key) ?? []
        byKey.set(key, rows)
        rows.push([key, bucket, ...values])
      }
    }
    for (const [, rows] of sortByKey(byKey)) yield* rows
  }

  /** Counts the amounts of an act, in the bucket of `countedAt` or (null) in none. */
  #countAmounts(amounts: Amounts, sign: 1 | -1, countedAt: string | null): void {
    if (countedAt !== null) this.counting?.begin(this.position, this.recordedAt, countedAt)
    const bucket = countedAt === null ? '-infinity' : quarterHourOf(countedAt)
    const latest = Math.floor(Date.parse(this.recordedAt) / 1_000) + 300
    for (const { table, key, values, accessed } of rowsOf(amounts, sign)) {
      const isNothing = values.every((value) => value === 0)
      if (isNothing && accessed === 0) continue
      if (this.parts.counters) this.#sumsOf(table).add(key as never, values)
      if (this.parts.counters && table === 'keys') {
        const last = this.lastAccess.get(key as string) ?? 0
        this.lastAccess.set(key as string, Math.max(last, Math.min(accessed, latest)))
      }
      if (isNothing) continue
      if (this.parts.usage) this.#backdated.ofAct(table, bucket, this.position).add(key, values)
      if (countedAt !== null) this.counting?.add(table, key, values)
    }
  }

  #sumsOf(table: CatalogTable): ExactSums<number> | ExactSums<string> {
    return { provider_groups: this.groups, api_keys: this.apiKeys, keys: this.keys }[table]
  }

  /** The sums to which a flush counts its usage of a table: those of its bucket. */
  #usageOf(table: CatalogTable, time: string): ExactSums<number | string> | null {
    if (!this.parts.usage) return null
    const bucket = quarterHourOf(time)
    if (time !== this.recordedAt) return this.#backdated.ofFlush(table, bucket, this.position)
    const buckets = this.#usage[USAGE_TABLES[table]]
    const sums = buckets.get(bucket) ?? new ExactSums()
    buckets.set(bucket, sums)
    return sums
  }

  #countApiKeys({ groups, counts, ids, requests, successes, counted_at }: ApiKeyFlush) {
    const time = usageTimeOf(counted_at, this.recordedAt)
    this.counting?.begin(this.position, this.recordedAt, time)
    const { counters } = this.parts
    const ofKeys = this.#usageOf('api_keys', time)
    const ofGroups = this.#usageOf('provider_groups', time)
    let i = 0
    for (const [run, group] of groups.entries()) {
      for (const end = i + counts[run]!; i < end; i++) {
        // The key was unknown, or had no requests.
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

  #countKeys(flush: KeyFlush) {
    const { hashes, requests, tokens, last_accessed_at, quota_tracked, counted_at } = flush
    const time = usageTimeOf(counted_at, this.recordedAt)
    this.counting?.begin(this.position, this.recordedAt, time)
    const { counters } = this.parts
    const usage = this.#usageOf('keys', time)
    const latest = Math.floor(Date.parse(this.recordedAt) / 1_000) + 300
    for (const [i, hash] of hashes.entries()) {
      const accessed = last_accessed_at[i]!
      const isNothing = requests[i] === 0 && tokens[i] === 0 && accessed === 0
      if (quota_tracked[i] === null || isNothing) continue
      const values = [requests[i]!, tokens[i]!, quota_tracked[i] ? tokens[i]! : 0]
      // An access alone is not usage.
      if (requests[i] !== 0 || tokens[i] !== 0) usage?.add(hash, values)
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
}

/** Which rows of a table: of usage, a range of buckets; of backdated usage, one of positions. */
type RowSelection = UsageRange & {
  after?: number | undefined
  through?: number | undefined
  lastAccess?: 'posted' | 'bounded' | undefined
}

const MAX_POSITION = Number.MAX_SAFE_INTEGER

const ALL: FoldedParts = { counters: true, usage: true, catalog: true }
