import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { PROJECTIONS } from '../../src/read-model/projections/index.ts'
import type { Address } from '../server.ts'

/** Bytes of the parts of a database. */
export type Sizes = {
  /** Rows of the log, and its indexes. */
  log: number
  logIndexes: number
  packedKeys: number
  tiles: number
  usage: number
  snapshots: number
  /** The other projections. */
  projections: number
  /** The rest of the schema. */
  other: number
}

/** Returns the part that a table belongs to, by its name without the number of a generation. */
function partOf(table: string): keyof Sizes {
  if (/^events(_|$)/.test(table)) return 'log'
  if (table === 'packed_keys') return 'packedKeys'
  if (table === 'tiles') return 'tiles'
  const name = table.replace(/_\d+$/, '')
  const projection = PROJECTIONS.find(({ tables }) => tables.some((one) => one.name === name))
  if (projection === undefined) return 'other'
  if (projection.name === 'usage' || projection.name === 'snapshots') return projection.name
  return 'projections'
}

export async function readSizes(address: Address): Promise<Sizes> {
  const owner = connectAsOwner(address)
  try {
    const rows = await owner<{ name: string; rows: number; indexes: number }[]>`
      select
        c.relname as name, pg_table_size(c.oid)::float8 as rows,
        pg_indexes_size(c.oid)::float8 as indexes
      from pg_class c
      where c.relnamespace = 'tallybook'::regnamespace and c.relkind = 'r'`
    const sizes: Sizes = {
      ...{ log: 0, logIndexes: 0, packedKeys: 0, tiles: 0 },
      ...{ usage: 0, snapshots: 0, projections: 0, other: 0 },
    }
    for (const { name, rows: table, indexes } of rows) {
      const part = partOf(name)
      sizes[part] += table
      sizes[part === 'log' ? 'logIndexes' : part] += indexes
    }
    return sizes
  } finally {
    await owner.end({ timeout: 1 })
  }
}
