import type { CatalogRows } from '../../events/catalog-change.ts'
import type { Transaction } from '../../platform/postgres/pool.ts'
import { type Column, listOf, unnest } from './account-sql.ts'
import { toArray, toTextArray } from './array.ts'
import type { Entry } from './entry.ts'
import type { Fold, Projection, Table, WriteTarget } from './projection.ts'
import { cutRows } from './slices.ts'

type Kind = keyof CatalogRows

/** The tables of each kind of row: the column that identifies one, and the others. */
const KINDS: readonly { kind: Kind; versions: string; id: string; values: string[] }[] = [
  {
    kind: 'provider_groups',
    versions: 'provider_group_versions',
    id: 'id',
    values: ['name', 'ended_at', 'external_id'],
  },
  {
    kind: 'api_keys',
    versions: 'api_key_versions',
    id: 'id',
    values: ['group_id', 'name', 'ended_at', 'external_id'],
  },
  {
    kind: 'keys',
    versions: 'key_versions',
    id: 'token_hash',
    values: ['quota_limit', 'name', 'ended_at', 'quota_period', 'quota_tz'],
  },
  { kind: 'dimensions', versions: 'dimension_versions', id: 'name', values: ['ended_at'] },
  {
    kind: 'measures',
    versions: 'measure_versions',
    id: 'name',
    values: ['number', 'ended_at', 'unit'],
  },
]

const TYPES: Record<string, Column['type']> = {
  id: 'bigint',
  token_hash: 'text',
  position: 'bigint',
  group_id: 'bigint',
  quota_limit: 'bigint',
  name: 'text',
  external_id: 'text',
  quota_period: 'text',
  quota_tz: 'text',
  number: 'bigint',
  unit: 'text',
  ended_at: 'timestamptz',
}

const table = (name: string, key: string[], values: string[]): Table => ({
  name,
  key,
  values,
  fillfactor: null,
})

/**
 * The catalog as readers see it: provider groups, API keys and keys with their names, and what is
 * counted besides: dimensions and measures. A retired row stays, with the time at which it was
 * retired. Only shard 0 has catalog changes, so the rows have no shard. In addition to the newest
 * version of each row, every earlier version is stored, for as-of reads.
 */
export const catalogRows: Projection = {
  name: 'catalog',
  // 2: stores versions. External ids, quota periods, dimensions and measures needed no third one:
  // no change before them has any.
  version: 2,
  tables: KINDS.flatMap(({ kind, versions, id, values }) => [
    table(kind, [id], values),
    table(versions, [id, 'position'], values),
  ]),
  createFold: () => new CatalogFold(),
}

/** A row as one change left it, by column. */
type Version = Readonly<Record<string, number | string | null>>

class CatalogFold implements Fold {
  /** Keyed by position and id: if a change names a row twice, the last one wins. */
  readonly #versions = new Map(KINDS.map(({ kind }) => [kind, new Map<string, Version>()]))

  get size(): number {
    return this.#versions.values().reduce((sum, { size }) => sum + size, 0)
  }

  add({ change, position, recordedAt }: Entry): void {
    if (change === null) return
    this.#add(change.upserted, position, null)
    this.#add(change.ended, position, recordedAt)
  }

  #add(rows: CatalogRows, position: number, ended_at: string | null) {
    for (const { kind, id } of KINDS) {
      const versions = this.#versions.get(kind)!
      for (const row of rows[kind] ?? []) {
        const version: Version = { ...row, position, ended_at }
        versions.set(`${position}/${version[id]}`, version)
      }
    }
  }

  // If two slices contain the same row, the later one wins: slices are in log order.
  *write(transaction: Transaction, { generation }: WriteTarget) {
    for (const { kind, versions: versionsTable, id, values } of KINDS) {
      for (const versions of cutRows(this.#versions.get(kind)!.values())) {
        const newest = [...new Map(versions.map((version) => [version[id], version])).values()]
        yield insert(transaction, versionsTable, generation, [id, 'position', ...values], versions)
        const inserted = insert(transaction, kind, generation, [id, ...values], newest)
        yield transaction`${inserted} on conflict (generation, ${transaction(id)}) do update set
          ${transaction.unsafe(values.map((name) => `${name} = excluded.${name}`).join(', '))}`
      }
    }
  }
}

// Not async: a query starts when it is awaited, so moving the checkpoint stays the first statement.
function insert(
  transaction: Transaction,
  into: string,
  generation: number,
  names: readonly string[],
  versions: readonly Version[],
) {
  const columns = names.map((name) => ({
    name,
    type: TYPES[name]!,
    text: textOf(versions, name),
  }))
  return transaction`
    insert into ${transaction(into)} (generation, ${listOf(transaction, names)})
    select ${generation}, ${listOf(transaction, names, 'f')}
    from ${unnest(transaction, columns)}`
}

/** Formats a column as an array literal. Only texts and times have nulls, and need quotes. */
const textOf = (versions: readonly Version[], name: string) =>
  TYPES[name] === 'bigint'
    ? toArray(versions, (version) => version[name] as number)
    : toTextArray(versions, (version) => (version[name] ?? null) as string | null)
