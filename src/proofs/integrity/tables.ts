import { ATTESTED_TABLES, type AttestedTable, KEY_COLUMNS } from '../../events/digest.ts'

/** A table of a projection: the columns that identify a row, and the others that are compared. */
export type ProjectionTable = {
  name: string
  key: readonly string[]
  values: readonly string[]
  /** False for the catalog, whose rows belong to no shard. */
  isSharded: boolean
}

/** The live rows of a projection in one shard. */
export type Target = { shard: number; generation: number }

/** Returns an attested table; its columns are those of a folded row, in the same order. */
export function attestedTable(name: AttestedTable): ProjectionTable {
  const { columns, kind } = ATTESTED_TABLES[name]
  const keys = KEY_COLUMNS[kind]
  return {
    name,
    key: columns.slice(0, keys),
    values: columns.slice(keys),
    isSharded: kind !== 'catalog',
  }
}
