import type { Transaction } from '../db/pool.ts'
import type { ApiKeyRow, CatalogRows, KeyRow, ProviderGroupRow } from '../events/catalog-change.ts'
import type { Event } from '../events/event.ts'
import { toArray, toTextArray } from './array.ts'
import type { Fold, Projection, WriteTarget } from './projection.ts'

/**
 * The catalog as people see it: provider groups, API keys and keys with their names. A row that
 * ended stays, with the time. Only shard 0 has catalog changes, so the rows have no shard.
 */
export const catalogRows: Projection = {
  name: 'catalog',
  createFold: () => new CatalogFold(),
}

/** The newest that a pass knows of a row, and when it ended if it did. */
type Newest<Row> = { row: Row; endedAt: string | null }

class CatalogFold implements Fold {
  readonly #groups = new Map<number, Newest<ProviderGroupRow>>()
  readonly #apiKeys = new Map<number, Newest<ApiKeyRow>>()
  readonly #keys = new Map<string, Newest<KeyRow>>()

  add(event: Event, recordedAt: string): void {
    if (event.type !== 'CatalogChanged') return
    this.#set(event.change.upserted, null)
    this.#set(event.change.ended, recordedAt)
  }

  #set({ provider_groups, api_keys, keys }: CatalogRows, endedAt: string | null): void {
    for (const row of provider_groups ?? []) this.#groups.set(row.id, { row, endedAt })
    for (const row of api_keys ?? []) this.#apiKeys.set(row.id, { row, endedAt })
    for (const row of keys ?? []) this.#keys.set(row.token_hash, { row, endedAt })
  }

  write(transaction: Transaction, { generation }: WriteTarget): Promise<unknown>[] {
    const writes: Promise<unknown>[] = []
    if (this.#groups.size > 0) {
      writes.push(writeGroups(transaction, generation, [...this.#groups.values()]))
    }
    if (this.#apiKeys.size > 0) {
      writes.push(writeApiKeys(transaction, generation, [...this.#apiKeys.values()]))
    }
    if (this.#keys.size > 0) {
      writes.push(writeKeys(transaction, generation, [...this.#keys.values()]))
    }
    return writes
  }
}

// Not async: a query starts when it is waited for, so the checkpoint's move stays the first.
function writeGroups(
  transaction: Transaction,
  generation: number,
  rows: Newest<ProviderGroupRow>[],
): Promise<unknown> {
  return transaction`
    insert into provider_groups (generation, id, name, ended_at)
    select ${generation}, f.id, f.name, f.ended_at
    from unnest(
      ${toArray(rows, ({ row }) => row.id)}::bigint[],
      ${toTextArray(rows, ({ row }) => row.name)}::text[],
      ${toTextArray(rows, ({ endedAt }) => endedAt)}::timestamptz[]
    ) as f(id, name, ended_at)
    on conflict (generation, id) do update set
      name = excluded.name,
      ended_at = excluded.ended_at`
}

function writeApiKeys(
  transaction: Transaction,
  generation: number,
  rows: Newest<ApiKeyRow>[],
): Promise<unknown> {
  return transaction`
    insert into api_keys (generation, id, group_id, name, ended_at)
    select ${generation}, f.id, f.group_id, f.name, f.ended_at
    from unnest(
      ${toArray(rows, ({ row }) => row.id)}::bigint[],
      ${toArray(rows, ({ row }) => row.group_id)}::bigint[],
      ${toTextArray(rows, ({ row }) => row.name)}::text[],
      ${toTextArray(rows, ({ endedAt }) => endedAt)}::timestamptz[]
    ) as f(id, group_id, name, ended_at)
    on conflict (generation, id) do update set
      group_id = excluded.group_id,
      name = excluded.name,
      ended_at = excluded.ended_at`
}

function writeKeys(
  transaction: Transaction,
  generation: number,
  rows: Newest<KeyRow>[],
): Promise<unknown> {
  return transaction`
    insert into keys (generation, token_hash, quota_limit, name, ended_at)
    select ${generation}, f.token_hash, f.quota_limit, f.name, f.ended_at
    from unnest(
      ${toTextArray(rows, ({ row }) => row.token_hash)}::text[],
      ${toArray(rows, ({ row }) => row.quota_limit)}::bigint[],
      ${toTextArray(rows, ({ row }) => row.name)}::text[],
      ${toTextArray(rows, ({ endedAt }) => endedAt)}::timestamptz[]
    ) as f(token_hash, quota_limit, name, ended_at)
    on conflict (generation, token_hash) do update set
      quota_limit = excluded.quota_limit,
      name = excluded.name,
      ended_at = excluded.ended_at`
}
