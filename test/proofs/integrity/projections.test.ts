import { expect, test } from 'bun:test'
import { CHECKED_PROJECTIONS } from '../../../src/proofs/integrity/groups/index.ts'
import { PROJECTIONS } from '../../../src/read-model/projections/index.ts'

test('every projection is checked in its current version with all its tables', () => {
  const checked = CHECKED_PROJECTIONS.map(({ projection, version, tables }) => ({
    name: projection,
    version,
    tables: tables.map(({ name }) => name).sort(),
  }))
  const known = PROJECTIONS.map(({ name, version, tables }) => ({
    name,
    version,
    tables: tables.map(({ name: table }) => table).sort(),
  }))
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)
  expect(checked.sort(byName)).toEqual(known.sort(byName))
})
