import type { SchemaElement } from 'hyparquet'
import { isAct, toPostedRows } from '../events/act.ts'
import { type Event, postingsOf, type StoredEvent, tryDecodeEvent } from '../events/event.ts'
import { statedTimeOf } from '../events/flush.ts'
import type { Postings } from '../events/postings.ts'
import { type DetailMaps, mapsOfAct, mapsOfFlush, type Pairs } from './detail-maps.ts'

const required = { repetition_type: 'REQUIRED' } as const
const optional = { repetition_type: 'OPTIONAL' } as const
const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8' } as const
const micros = {
  converted_type: 'TIMESTAMP_MICROS',
  logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
} as const
const int64 = { type: 'INT64' } as const

/**
 * The columns of an entry. Entries of API keys have no token_hash, quota_tracked, tokens and
 * last_accessed_at. Entries of token keys have no api_key_id, api_key, group_id and successes.
 * These columns are those of the view `flush_entries`.
 *
 * An act has one row for each account that it names, of which `type` tells it from a flush. It
 * counts provider groups by themselves: such a row has only group_id, and the row of an API key
 * has none. Sums by api_key_id, by group_id and by token_hash include acts as they are.
 */
const COLUMNS = [
  { name: 'shard', type: 'INT32', ...required },
  { name: 'position', ...int64, ...required },
  // Microseconds since 1970.
  { name: 'recorded_at', ...int64, ...micros, ...required },
  { name: 'source', ...text, ...required },
  // Null if only an external id was posted, which no key had: then `api_key` has it.
  { name: 'api_key_id', ...int64, ...optional },
  // 0 is no group. Null, of an API key, is an unknown key.
  { name: 'group_id', ...int64, ...optional },
  { name: 'token_hash', ...text, ...optional },
  { name: 'quota_tracked', type: 'BOOLEAN', ...optional },
  { name: 'requests', ...int64, ...required },
  { name: 'successes', ...int64, ...optional },
  { name: 'tokens', ...int64, ...optional },
  // Unix seconds; 0 if unknown.
  { name: 'last_accessed_at', ...int64, ...optional },
  // The type of the event: a flush, BalancesOpened, TotalsAdjusted, EventReversed or QuotaReset.
  { name: 'type', ...text, ...required },
  // When usage counts it: null if in no hour.
  { name: 'counted_at', ...int64, ...micros, ...optional },
  // The amount that counted towards the quota; null in a flush (tokens, if quota_tracked).
  { name: 'quota_used', ...int64, ...optional },
  // An external id that no key had when the flush was appended.
  { name: 'api_key', ...text, ...optional },
] as const satisfies SchemaElement[]

/** The columns of maps, with the types of their values. */
const MAPS = [
  { name: 'dimensions', value: text },
  { name: 'counted_dimensions', value: text },
  { name: 'measures', value: int64 },
] as const satisfies { name: keyof DetailMaps; value: object }[]

/** The Parquet schema of a file of entries. */
export const SCHEMA: SchemaElement[] = [
  { name: 'entries', num_children: COLUMNS.length + MAPS.length },
  ...COLUMNS,
  ...MAPS.flatMap(({ name, value }): SchemaElement[] => [
    { name, num_children: 1, converted_type: 'MAP', logical_type: { type: 'MAP' }, ...optional },
    { name: 'key_value', num_children: 2, repetition_type: 'REPEATED' },
    { name: 'key', ...text, ...required },
    { name: 'value', ...value, ...required },
  ]),
]

const NAMES = [...COLUMNS, ...MAPS].map(({ name }) => name)

type Name = (typeof NAMES)[number]
type Value = number | bigint | string | boolean | Pairs<string> | Pairs<bigint> | null

/** The entries of many events, by column. */
export class EntryColumns {
  rows = 0
  readonly #values = Object.fromEntries(NAMES.map((name) => [name, [] as Value[]])) as Record<
    Name,
    Value[]
  >

  /** `measureNames` are the names of measures by number, which changes of the catalog add. */
  constructor(private readonly measureNames: Map<number, string>) {}

  /**
   * Adds the entries of a flush or an act, or the names of a change of the catalog. Returns false
   * if the event can't be decoded.
   */
  add(stored: StoredEvent): boolean {
    const { type, version, payload } = stored
    const event = tryDecodeEvent({ type, version, payload: Buffer.from(payload) })
    if (event === null) return false
    if (event.type === 'CatalogChanged') {
      const { measures = [] } = event.data.upserted
      for (const { name, number } of measures) this.measureNames.set(number, name)
    }
    const { shard, position, source, recordedAt } = stored
    const rows = isAct(type)
      ? this.#addAct(postingsOf(event, recordedAt))
      : this.#addFlush(event, recordedAt)
    if (rows === 0) return true
    this.#fill('type', rows, type)
    this.#fill('shard', rows, shard)
    this.#fill('position', rows, BigInt(position))
    this.#fill('recorded_at', rows, toMicroseconds(recordedAt))
    this.#fill('source', rows, source)
    this.rows += rows
    return true
  }

  /** Returns the columns in the form that `ParquetWriter.write` expects. */
  columns(): { name: string; data: Value[] }[] {
    return NAMES.map((name) => ({ name, data: this.#values[name] }))
  }

  #addAct(postings: readonly Postings[]): number {
    let rows = 0
    for (const row of toPostedRows(postings)) {
      this.#push('api_key_id', row.api_key_id)
      this.#push('group_id', row.provider_group_id)
      this.#push('token_hash', row.token_hash)
      this.#push('requests', row.requests)
      this.#push('successes', row.success_requests)
      this.#push('tokens', row.tokens)
      this.#push('quota_used', row.quota_used)
      this.#push('last_accessed_at', row.last_accessed_at)
      rows++
    }
    this.#fill('quota_tracked', rows, null)
    this.#fill('api_key', rows, null)
    for (const { countedAt, start, end, details } of postings) {
      this.#fill('counted_at', end - start, countedAt ? toMicroseconds(countedAt) : null)
      if (details === undefined) this.#fillMaps(end - start)
      else this.#addMaps(mapsOfAct(details, { start, end }, this.measureNames))
    }
    return rows
  }

  #addFlush(event: Event, recordedAt: string): number {
    const rows = this.#addEntries(event)
    const stated = statedTimeOf(event)
    const countedAt = stated === null ? toMicroseconds(recordedAt) : BigInt(stated) * 1_000_000n
    this.#fill('counted_at', rows, countedAt)
    this.#fill('quota_used', rows, null)
    const details = detailsOf(event)
    if (details === undefined) this.#fillMaps(rows)
    else this.#addMaps(mapsOfFlush(details))
    return rows
  }

  #addMaps(rows: Iterable<DetailMaps>): void {
    for (const row of rows) for (const { name } of MAPS) this.#values[name].push(row[name])
  }

  #fillMaps(rows: number): void {
    for (const { name } of MAPS) this.#fill(name, rows, null)
  }

  #addEntries(event: Event): number {
    switch (event.type) {
      case 'ApiKeyStatsFlushed': {
        const { ids, names, requests, successes, groups, counts } = event.data
        this.#copy('api_key_id', ids, (id) => (id === 0 ? null : BigInt(id)))
        if (names === undefined) this.#fill('api_key', ids.length, null)
        else this.#copy('api_key', names, (name) => name)
        this.#copy('requests', requests, BigInt)
        this.#copy('successes', successes, BigInt)
        for (const [run, group] of groups.entries()) {
          this.#fill('group_id', counts[run]!, group === null ? null : BigInt(group))
        }
        for (const name of ['token_hash', 'quota_tracked', 'tokens', 'last_accessed_at'] as const) {
          this.#fill(name, ids.length, null)
        }
        return ids.length
      }
      case 'KeyStatsFlushed': {
        const { hashes, requests, tokens, last_accessed_at, quota_tracked } = event.data
        this.#copy('token_hash', hashes, (hash) => hash)
        this.#copy('quota_tracked', quota_tracked, (tracked) => tracked)
        this.#copy('requests', requests, BigInt)
        this.#copy('tokens', tokens, BigInt)
        this.#copy('last_accessed_at', last_accessed_at, BigInt)
        for (const name of ['api_key_id', 'api_key', 'group_id', 'successes'] as const) {
          this.#fill(name, hashes.length, null)
        }
        return hashes.length
      }
      default:
        return 0
    }
  }

  #push(name: Name, value: number | string | null): void {
    this.#values[name].push(typeof value === 'number' ? BigInt(value) : value)
  }

  #copy<From>(name: Name, column: readonly From[], convert: (value: From) => Value): void {
    const values = this.#values[name]
    for (const value of column) values.push(convert(value))
  }

  #fill(name: Name, rows: number, value: Value): void {
    const values = this.#values[name]
    for (let i = 0; i < rows; i++) values.push(value)
  }
}

const detailsOf = ({ type, data }: Event) =>
  type === 'ApiKeyStatsFlushed' || type === 'KeyStatsFlushed' ? data.details : undefined

/**
 * Returns the microseconds since 1970 of `2026-01-31T12:00:00.123456+00:00`. A Date has only
 * milliseconds.
 */
function toMicroseconds(recordedAt: string): bigint {
  const seconds = Date.parse(`${recordedAt.slice(0, 19)}Z`) / 1000
  return BigInt(seconds) * 1_000_000n + BigInt(recordedAt.slice(20, 26))
}
