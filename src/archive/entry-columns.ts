import type { SchemaElement } from 'hyparquet'
import { type Event, type StoredEvent, tryDecodeEvent } from '../events/event.ts'

const required = { repetition_type: 'REQUIRED' } as const
const optional = { repetition_type: 'OPTIONAL' } as const
const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8' } as const
const micros = {
  converted_type: 'TIMESTAMP_MICROS',
  logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
} as const
const int64 = { type: 'INT64' } as const

/**
 * The columns of an entry, as in the view `flush_entries`. Entries of API keys have no token_hash,
 * quota_tracked, tokens and last_accessed_at. Entries of token keys have no api_key_id, group_id
 * and successes.
 */
const COLUMNS = [
  { name: 'shard', type: 'INT32', ...required },
  { name: 'position', ...int64, ...required },
  // Microseconds since 1970.
  { name: 'recorded_at', ...int64, ...micros, ...required },
  { name: 'source', ...text, ...required },
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
] as const satisfies SchemaElement[]

/** The Parquet schema of a file of entries. */
export const SCHEMA: SchemaElement[] = [
  { name: 'entries', num_children: COLUMNS.length },
  ...COLUMNS,
]

type Name = (typeof COLUMNS)[number]['name']
type Value = number | bigint | string | boolean | null

/** The entries of many events, by column. */
export class EntryColumns {
  rows = 0
  readonly #values = Object.fromEntries(COLUMNS.map(({ name }) => [name, [] as Value[]])) as Record<
    Name,
    Value[]
  >

  /** Adds the entries of a flush. Returns false if the event can't be decoded. */
  add(stored: StoredEvent): boolean {
    const { type, version, payload } = stored
    const event = tryDecodeEvent({ type, version, payload: Buffer.from(payload) })
    if (event === null) return false
    const rows = this.#addFlush(event)
    if (rows === 0) return true
    const { shard, position, source, recordedAt } = stored
    this.#fill('shard', rows, shard)
    this.#fill('position', rows, BigInt(position))
    this.#fill('recorded_at', rows, toMicroseconds(recordedAt))
    this.#fill('source', rows, source)
    this.rows += rows
    return true
  }

  /** Returns the columns in the form that `ParquetWriter.write` expects. */
  columns(): { name: string; data: Value[] }[] {
    return COLUMNS.map(({ name }) => ({ name, data: this.#values[name] }))
  }

  #addFlush(event: Event): number {
    switch (event.type) {
      case 'ApiKeyStatsFlushed': {
        const { ids, requests, successes, groups, counts } = event.data
        this.#copy('api_key_id', ids, BigInt)
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
        for (const name of ['api_key_id', 'group_id', 'successes'] as const) {
          this.#fill(name, hashes.length, null)
        }
        return hashes.length
      }
      default:
        return 0
    }
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

/**
 * Returns the microseconds since 1970 of `2026-01-31T12:00:00.123456+00:00`. A Date has only
 * milliseconds.
 */
function toMicroseconds(recordedAt: string): bigint {
  const seconds = Date.parse(`${recordedAt.slice(0, 19)}Z`) / 1000
  return BigInt(seconds) * 1_000_000n + BigInt(recordedAt.slice(20, 26))
}
