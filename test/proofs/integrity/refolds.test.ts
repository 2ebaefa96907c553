import { expect, test } from 'bun:test'
import { REFOLDS } from '../../../src/proofs/integrity/refolds/index.ts'
import { PROJECTIONS } from '../../../src/read-model/projections/index.ts'

test('every projection is folded a second time, in the version that is live, with all its tables', () => {
  const folded = REFOLDS.map(({ projection, version, tables, otherTables = [] }) => ({
    name: projection,
    version,
    tables: [...tables.filter(({ isShown }) => isShown !== false), ...otherTables]
      .map(({ name }) => name)
      .sort(),
  }))
  const known = PROJECTIONS.map(({ name, version, tables }) => ({
    name,
    version,
    tables: tables.map((table) => table.name).sort(),
  }))
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)
  expect(folded.sort(byName)).toEqual(known.sort(byName))
})
