import { afterEach, beforeEach, expect, test } from 'bun:test'
import { migrate } from '../../../src/platform/postgres/migrate.ts'
import { readNameOrder } from '../../../src/platform/postgres/names.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../../support/server.ts'
import { startTestService } from '../../support/service.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await createDatabase({ empty: true })
})
afterEach(() => database.drop())

test('a server without ICU has its own order, and pages by name list each row once', async () => {
  // Such a server has none of ICU's collations.
  await database.owner`delete from pg_catalog.pg_collation c where c.collprovider = 'i'`
  await migrate(database.owner, TEST_SHARDS)
  expect(await readNameOrder(database.owner)).toBe('own')
  const service = await startTestService({ database })
  try {
    const names = ['b', 'A', 'a', 'B', null]
    await service.putCatalog({ provider_groups: names.map((name, i) => ({ id: i + 1, name })) })
    const read: (string | null)[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      type Page = { items: { name: string | null }[]; next_cursor: string | null }
      const more: string = cursor === '' ? '' : `&cursor=${cursor}`
      const page: Page = await service.read(`/admin/provider-groups?sort=name&limit=1${more}`)
      read.push(...page.items.map(({ name }) => name))
      cursor = page.next_cursor
    }
    expect(read.toSorted()).toEqual(names.toSorted())
  } finally {
    await service.stop()
  }
})

test('indexes that another version of ICU sorted are rebuilt', async () => {
  const { owner } = database
  await migrate(owner, TEST_SHARDS)
  expect(await readNameOrder(owner)).toBe('icu')
  const files = () => owner`
    select relname, relfilenode from pg_class where relname like '%\\_by\\_name' order by relname`
  const before = await files()
  await migrate(owner, TEST_SHARDS)
  expect([...(await files())]).toEqual([...before])
  await owner`update pg_catalog.pg_collation c set collversion = '1' where c.collname = 'names'`
  await migrate(owner, TEST_SHARDS)
  const after = await files()
  expect(after.length).toBe(3)
  for (const [i, { relfilenode }] of after.entries()) {
    expect(relfilenode).not.toBe(before[i]!.relfilenode)
  }
  const [row] = await owner`
    select c.collversion = pg_collation_actual_version(c.oid) as fresh
    from pg_collation c
    where c.collname = 'names'`
  expect(row!.fresh).toBe(true)
})
