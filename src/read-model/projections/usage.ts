import type { Event } from '../../events/event.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { toArray, toTextArray } from './array.ts'
import { countApiKeys, countGroups, countKeys } from './count.ts'
import { type KeySum, KeySums } from './key-sums.ts'
import type { Fold, Place, Projection, Table, WriteTarget } from './projection.ts'
import { joinSlices } from './slices.ts'
import { type Sum, Sums } from './sums.ts'

const table = (name: string, id: string, values: string[]): Table => ({
  name,
  key: ['shard', id, 'quarter'],
  values,
  fillfactor: 90,
})

/**
 * What each API key, provider group and token key counted in each quarter of an hour, by the time
 * of the append. Quarters, because time zones are whole quarters away from UTC: any zone's hours
 * and days are sums of them.
 */
export const usage: Projection = {
  name: 'usage',
  version: 1,
  tables: [
    table('api_key_usage', 'api_key_id', ['requests', 'successes']),
    table('provider_group_usage', 'provider_group_id', ['requests', 'successes']),
    table('key_usage', 'token_hash', ['requests', 'tokens', 'quota_used']),
  ],
  createFold: () => new UsageFold(),
}

class Quarter {
  readonly apiKeys = new Sums()
  readonly groups = new Sums()
  readonly keys = new KeySums()

  constructor(readonly start: string) {}
}

class UsageFold implements Fold {
  readonly #quarters = new Map<string, Quarter>()
  #newest: Quarter | null = null

  get size(): number {
    let size = 0
    for (const { apiKeys, groups, keys } of this.#quarters.values()) {
      size += apiKeys.size + groups.size + keys.size
    }
    return size
  }

  add(event: Event, { recordedAt }: Place): void {
    switch (event.type) {
      case 'ApiKeyStatsFlushed': {
        const { apiKeys, groups } = this.#quarterOf(recordedAt)
        countApiKeys(apiKeys, event.flush)
        countGroups(groups, event.flush)
        break
      }
      case 'KeyStatsFlushed':
        countKeys(this.#quarterOf(recordedAt).keys, event.flush, recordedAt)
        break
      case 'CatalogChanged':
      case 'ProjectionAttested':
      case 'OriginChanged':
      case 'ShardsChanged':
        break
      default:
        event satisfies never
    }
  }

  *write(transaction: Transaction, target: WriteTarget) {
    for (const rows of joinSlices(this.#sumRows('apiKeys'))) {
      yield writeSums(transaction, target, 'api_key', rows)
    }
    for (const rows of joinSlices(this.#sumRows('groups'))) {
      yield writeSums(transaction, target, 'provider_group', rows)
    }
    for (const rows of joinSlices(this.#keyRows())) yield writeKeys(transaction, target, rows)
  }

  *#sumRows(kind: 'apiKeys' | 'groups'): Generator<SumRow[]> {
    for (const { start, [kind]: of } of this.#quarters.values()) {
      for (const sums of of.slices()) yield sums.map((sum) => ({ ...sum, start }))
    }
  }

  *#keyRows(): Generator<KeyRow[]> {
    for (const { start, keys } of this.#quarters.values()) {
      for (const sums of keys.slices()) {
        // A flush may tell of an access alone.
        const used = sums.filter(({ requests, tokens }) => requests !== 0 || tokens !== 0)
        yield used.map((sum) => ({ ...sum, start }))
      }
    }
  }

  #quarterOf(recordedAt: string): Quarter {
    const start = startOfQuarter(recordedAt)
    if (this.#newest?.start === start) return this.#newest
    const quarter = this.#quarters.get(start) ?? new Quarter(start)
    this.#quarters.set(start, quarter)
    this.#newest = quarter
    return quarter
  }
}

/** `2026-01-31T12:15:00+00:00` of `2026-01-31T12:29:59.999999+00:00`. */
export function startOfQuarter(recordedAt: string): string {
  const minute = Number(recordedAt.slice(14, 16))
  const quarter = String(minute - (minute % 15)).padStart(2, '0')
  return `${recordedAt.slice(0, 14)}${quarter}:00+00:00`
}

type SumRow = Sum & { start: string }

function writeSums(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  of: 'api_key' | 'provider_group',
  rows: SumRow[],
): Promise<unknown> {
  const id = transaction(`${of}_id`)
  return transaction`
    insert into ${transaction(`${of}_usage`)} as u
      (shard, generation, ${id}, quarter, requests, successes)
    select s.shard, ${generation}, f.id, f.quarter, f.requests, f.successes
    from shards s
      cross join unnest(
        ${toArray(rows, (row) => row.id)}::bigint[],
        ${toTextArray(rows, ({ start }) => start)}::timestamptz[],
        ${toArray(rows, ({ requests }) => requests)}::numeric[],
        ${toArray(rows, ({ successes }) => successes)}::numeric[]
      ) as f(id, quarter, requests, successes)
    where s.shard = ${shard}
    on conflict (shard, generation, ${id}, quarter) do update set
      requests = u.requests + excluded.requests,
      successes = u.successes + excluded.successes`
}

type KeyRow = KeySum & { start: string }

function writeKeys(
  transaction: Transaction,
  { shard, generation }: WriteTarget,
  rows: KeyRow[],
): Promise<unknown> {
  return transaction`
    insert into key_usage as u
      (shard, generation, token_hash, quarter, requests, tokens, quota_used)
    select s.shard, ${generation}, f.token_hash, f.quarter, f.requests, f.tokens, f.quota_used
    from shards s
      cross join unnest(
        ${toTextArray(rows, ({ hash }) => hash)}::text[],
        ${toTextArray(rows, ({ start }) => start)}::timestamptz[],
        ${toArray(rows, ({ requests }) => requests)}::numeric[],
        ${toArray(rows, ({ tokens }) => tokens)}::numeric[],
        ${toArray(rows, ({ quotaUsed }) => quotaUsed)}::numeric[]
      ) as f(token_hash, quarter, requests, tokens, quota_used)
    where s.shard = ${shard}
    on conflict (shard, generation, token_hash, quarter) do update set
      requests = u.requests + excluded.requests,
      tokens = u.tokens + excluded.tokens,
      quota_used = u.quota_used + excluded.quota_used`
}
