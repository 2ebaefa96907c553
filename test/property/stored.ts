import { expect } from 'bun:test'
import type { TestDatabase } from '../support/server.ts'
import type { Accepted, Model } from './model.ts'
import type { Entry } from './naive-body.ts'

type EventRow = { at: string; shard: number; position: string; type: string; ordered: boolean }
type EntryRow = Record<'at' | 'api_key_id' | 'api_key' | 'token_hash' | 'requests', string> &
  Record<'successes' | 'tokens' | 'last_accessed_at', string>

/**
 * Compares the log with what was acknowledged: each flush is stored once, at its position and with
 * the posted entries; there is nothing else except `others`, events of these types; and positions
 * have no gaps.
 */
export async function compareLog(
  { owner }: TestDatabase,
  model: Model,
  accepted: Accepted[],
  others: ReadonlyMap<string, string>,
): Promise<void> {
  const events = await owner<EventRow[]>`
    select
      e.shard || '/' || e.position as at, e.shard, e.position, e.type,
      e.recorded_at >= lag(e.recorded_at, 1, e.recorded_at)
        over (partition by e.shard order by e.position) as ordered
    from events e
    order by e.shard, e.position`
  const perShard = new Map<number, number>()
  for (const { shard, position, ordered } of events) {
    expect(Number(position)).toBe((perShard.get(shard) ?? -1) + 1)
    expect(ordered).toBe(true)
    perShard.set(shard, Number(position))
  }
  const types = new Map(events.map(({ at, type }) => [at, type]))
  const expected = new Map([
    ...accepted.map(({ kind, at }) => [at!, TYPES[kind]] as const),
    ...others,
  ])
  expect(expected.size).toBe(accepted.length + others.size)
  expect(types).toEqual(expected)

  const rows = await owner<EntryRow[]>`
    select f.shard || '/' || f.position as at, f.*
    from flush_entries f`
  const stored = Map.groupBy(rows, ({ at }) => at)
  for (const { at, entries } of accepted) {
    const plain = entries.map(({ details: _, ...entry }) => entry)
    expect(model.bagOf((stored.get(at!) ?? []).map(toEntry))).toBe(model.bagOf(plain))
  }
}

const TYPES = { 'api-keys': 'ApiKeyStatsFlushed', keys: 'KeyStatsFlushed' }

function toEntry(row: EntryRow): Entry {
  const { token_hash: hash, api_key_id: id, api_key: name, requests } = row
  const rest = hash === null ? [row.successes] : [row.tokens, row.last_accessed_at]
  return { key: hash ?? Number(id), name, numbers: [requests, ...rest].map(BigInt) }
}
