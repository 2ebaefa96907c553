import { toRows, tryDecodeEvent } from '../events/event.ts'
import type { LineEvent } from '../events/event-line.ts'
import type { EntryRow } from '../events/rows.ts'
import type { Manifest, ShardManifest } from './manifest.ts'

/**
 * Recounts what a manifest states. It uses the rows of events rather than their columns, and
 * exact integers, so it shares no sum with the writer.
 */
export class Recount {
  readonly #sums = new Map<string, bigint>()
  readonly #shards = new Map<number, { first: string; last: string; types: Counts }>()

  /** Adds an event. */
  add(event: LineEvent): void {
    const shard = this.#shards.get(event.shard)
    const at = event.recordedAt
    if (shard) shard.last = at
    else this.#shards.set(event.shard, { first: at, last: at, types: new Map() })
    const types = this.#shards.get(event.shard)!.types
    types.set(event.type, (types.get(event.type) ?? 0) + 1)
    const rows = this.#rowsOf(event)
    if (rows === null || rows.length === 0) return
    const isOfKeys = 'token_hash' in rows[0]!
    const flushes = isOfKeys ? 'key_flushes' : 'api_key_flushes'
    this.#add(`${flushes}.entries`, BigInt(rows.length))
    this.#add(
      `${flushes}.requests`,
      sum(rows, ({ requests }) => requests),
    )
    const second = sum(rows, (row) => ('tokens' in row ? row.tokens : row.success_requests))
    this.#add(isOfKeys ? 'key_flushes.tokens' : 'api_key_flushes.successes', second)
  }

  /**
   * Returns one sentence for each statement of the manifest that differs from what was counted: a
   * total, or a shard's first time, last time or counts by type.
   */
  compare(manifest: Manifest): string[] {
    const { totals, shards } = manifest
    const stated: [string, string][] = [
      ...Object.entries(totals.api_key_flushes).map(pathed('api_key_flushes')),
      ...Object.entries(totals.key_flushes).map(pathed('key_flushes')),
      ['unreadable_events', String(totals.unreadable_events)],
    ]
    const wrong = stated
      .filter(([name, text]) => String(this.#sums.get(name) ?? 0n) !== text)
      .map(([name, text]) => `totals.${name} is ${text}, not ${this.#sums.get(name) ?? 0n}`)
    return [...wrong, ...shards.flatMap((shard) => this.#compareShard(shard))]
  }

  #compareShard(stated: ShardManifest): string[] {
    const counted = this.#shards.get(stated.shard)
    const wrong: string[] = []
    if (stated.first_recorded_at !== (counted?.first ?? null)) {
      wrong.push(`first_recorded_at of shard ${stated.shard} differs from its first event`)
    }
    if (stated.last_recorded_at !== (counted?.last ?? null)) {
      wrong.push(`last_recorded_at of shard ${stated.shard} differs from its last event`)
    }
    const types = [...(counted?.types ?? [])]
    const same = types.every(([type, events]) => stated.types[type] === events)
    if (!same || Object.keys(stated.types).length !== types.length) {
      wrong.push(`types of shard ${stated.shard} differ from its events`)
    }
    return wrong
  }

  #rowsOf(line: LineEvent): EntryRow[] | null {
    const event = tryDecodeEvent(line)
    if (event === null) this.#add('unreadable_events', 1n)
    return event && toRows(event)
  }

  #add(name: string, count: bigint): void {
    this.#sums.set(name, (this.#sums.get(name) ?? 0n) + count)
  }
}

const HALF = 2 ** 27

/**
 * Returns the exact sum over an event's rows. Adds two halves that stay far below 2^53, because
 * adding bigints took a sixth of the time of a check.
 */
function sum(rows: readonly EntryRow[], countOf: (row: EntryRow) => number): bigint {
  let high = 0
  let low = 0
  for (const row of rows) {
    const count = countOf(row)
    const rest = count % HALF
    high += (count - rest) / HALF
    low += rest
  }
  return BigInt(high) * BigInt(HALF) + BigInt(low)
}

type Counts = Map<string, number>

const pathed =
  (path: string) =>
  ([name, text]: [string, string]): [string, string] => [`${path}.${name}`, text]
