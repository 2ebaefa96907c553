import type {
  ApiKeyRow,
  CatalogRows,
  KeyRow,
  ProviderGroupRow,
} from '../../events/catalog-change.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { toArray, toTextArray } from './array.ts'
import type { Entry } from './entry.ts'
import type { Fold, Projection, Table, WriteTarget } from './projection.ts'
import { cutRows } from './slices.ts'

const table = (name: string, key: string[], values: string[]): Table => ({
  name,
  key,
  values,
  fillfactor: null,
})

const GROUP_VALUES = ['name', 'ended_at']
const API_KEY_VALUES = ['group_id', 'name', 'ended_at']
const KEY_VALUES = ['quota_limit', 'name', 'ended_at']

/**
 * The catalog as readers see it: provider groups, API keys and keys with their names. A retired row
 * stays, with the time at which it was retired. Only shard 0 has catalog changes, so the rows have
 * no shard. In addition to the newest version of each row, every earlier version is stored, for
 * as-of reads.
 */
export const catalogRows: Projection = {
  name: 'catalog',
  // 2: stores versions.
  version: 2,
  tables: [
    table('provider_groups', ['id'], GROUP_VALUES),
    table('provider_group_versions', ['id', 'position'], GROUP_VALUES),
    table('api_keys', ['id'], API_KEY_VALUES),
    table('api_key_versions', ['id', 'position'], API_KEY_VALUES),
    table('keys', ['token_hash'], KEY_VALUES),
    table('key_versions', ['token_hash', 'position'], KEY_VALUES),
  ],
  createFold: () => new CatalogFold(),
}

/** A row as one change left it, with the time at which it was retired, if it was. */
type Version<Row> = { row: Row; position: number; endedAt: string | null }

class CatalogFold implements Fold {
  /** Keyed by position and id: if a change names a row twice, the last one wins. */
  readonly #groups = new Map<string, Version<ProviderGroupRow>>()
  readonly #apiKeys = new Map<string, Version<ApiKeyRow>>()
  readonly #keys = new Map<string, Version<KeyRow>>()

  get size(): number {
    return this.#groups.size + this.#apiKeys.size + this.#keys.size
  }

  add({ change, position, recordedAt }: Entry): void {
    if (change === null) return
    this.#add(change.upserted, position, null)
    this.#add(change.ended, position, recordedAt)
  }

  #add({ provider_groups, api_keys, keys }: CatalogRows, position: number, endedAt: string | null) {
    for (const row of provider_groups ?? []) {
      this.#groups.set(`${position}/${row.id}`, { row, position, endedAt })
    }
    for (const row of api_keys ?? []) {
      this.#apiKeys.set(`${position}/${row.id}`, { row, position, endedAt })
    }
    for (const row of keys ?? []) {
      this.#keys.set(`${position}/${row.token_hash}`, { row, position, endedAt })
    }
  }

  // If two slices contain the same row, the later one wins: slices are in log order.
  *write(transaction: Transaction, { generation }: WriteTarget) {
    for (const versions of cutRows(this.#groups.values())) {
      yield* writeGroups(transaction, generation, versions)
    }
    for (const versions of cutRows(this.#apiKeys.values())) {
      yield* writeApiKeys(transaction, generation, versions)
    }
    for (const versions of cutRows(this.#keys.values())) {
      yield* writeKeys(transaction, generation, versions)
    }
  }
}

/** Returns the newest version of each row. */
function newest<Row>(versions: Version<Row>[], id: (row: Row) => unknown): Version<Row>[] {
  return [...new Map(versions.map((version) => [id(version.row), version])).values()]
}

// Not async: a query starts when it is awaited, so moving the checkpoint stays the first statement.
function writeGroups(
  transaction: Transaction,
  generation: number,
  versions: Version<ProviderGroupRow>[],
): Promise<unknown>[] {
  const columns = (rows: Version<ProviderGroupRow>[]) => transaction`
    unnest(
      ${toArray(rows, ({ row }) => row.id)}::bigint[],
      ${toArray(rows, ({ position }) => position)}::bigint[],
      ${toTextArray(rows, ({ row }) => row.name)}::text[],
      ${toTextArray(rows, ({ endedAt }) => endedAt)}::timestamptz[]
    ) as f(id, position, name, ended_at)`
  return [
    transaction`
      insert into provider_group_versions (generation, id, position, name, ended_at)
      select ${generation}, f.id, f.position, f.name, f.ended_at
      from ${columns(versions)}`,
    transaction`
      insert into provider_groups (generation, id, name, ended_at)
      select ${generation}, f.id, f.name, f.ended_at
      from ${columns(newest(versions, (row) => row.id))}
      on conflict (generation, id) do update set
        name = excluded.name,
        ended_at = excluded.ended_at`,
  ]
}

function writeApiKeys(
  transaction: Transaction,
  generation: number,
  versions: Version<ApiKeyRow>[],
): Promise<unknown>[] {
  const columns = (rows: Version<ApiKeyRow>[]) => transaction`
    unnest(
      ${toArray(rows, ({ row }) => row.id)}::bigint[],
      ${toArray(rows, ({ position }) => position)}::bigint[],
      ${toArray(rows, ({ row }) => row.group_id)}::bigint[],
      ${toTextArray(rows, ({ row }) => row.name)}::text[],
      ${toTextArray(rows, ({ endedAt }) => endedAt)}::timestamptz[]
    ) as f(id, position, group_id, name, ended_at)`
  return [
    transaction`
      insert into api_key_versions (generation, id, position, group_id, name, ended_at)
      select ${generation}, f.id, f.position, f.group_id, f.name, f.ended_at
      from ${columns(versions)}`,
    transaction`
      insert into api_keys (generation, id, group_id, name, ended_at)
      select ${generation}, f.id, f.group_id, f.name, f.ended_at
      from ${columns(newest(versions, (row) => row.id))}
      on conflict (generation, id) do update set
        group_id = excluded.group_id,
        name = excluded.name,
        ended_at = excluded.ended_at`,
  ]
}

function writeKeys(
  transaction: Transaction,
  generation: number,
  versions: Version<KeyRow>[],
): Promise<unknown>[] {
  const columns = (rows: Version<KeyRow>[]) => transaction`
    unnest(
      ${toTextArray(rows, ({ row }) => row.token_hash)}::text[],
      ${toArray(rows, ({ position }) => position)}::bigint[],
      ${toArray(rows, ({ row }) => row.quota_limit)}::bigint[],
      ${toTextArray(rows, ({ row }) => row.name)}::text[],
      ${toTextArray(rows, ({ endedAt }) => endedAt)}::timestamptz[]
    ) as f(token_hash, position, quota_limit, name, ended_at)`
  return [
    transaction`
      insert into key_versions (generation, token_hash, position, quota_limit, name, ended_at)
      select ${generation}, f.token_hash, f.position, f.quota_limit, f.name, f.ended_at
      from ${columns(versions)}`,
    transaction`
      insert into keys (generation, token_hash, quota_limit, name, ended_at)
      select ${generation}, f.token_hash, f.quota_limit, f.name, f.ended_at
      from ${columns(newest(versions, (row) => row.token_hash))}
      on conflict (generation, token_hash) do update set
        quota_limit = excluded.quota_limit,
        name = excluded.name,
        ended_at = excluded.ended_at`,
  ]
}
