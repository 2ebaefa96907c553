import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { migrate } from '../../../src/platform/postgres/migrate.ts'
import {
  connectAsOwner,
  openPools,
  SERVICE_ROLE,
  type ServerAddress,
} from '../../../src/platform/postgres/pool.ts'
import { grantAll } from '../../../src/platform/postgres/privileges.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../../support/server.ts'
import { startTestService } from '../../support/service.ts'

// A database restored from a dump has no roles and may have no grants, and its owner may not be
// allowed to create roles.

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

/** Returns the privileges of the service's role, on tables and on columns. */
async function readPrivileges(): Promise<string[]> {
  const rows = await database.owner<{ privilege: string }[]>`
    select concat_ws(' ', g.table_name, g.privilege_type) as privilege
    from information_schema.role_table_grants g
    where g.grantee = ${SERVICE_ROLE} and g.table_schema = 'tallybook'
    union all
    select concat_ws(' ', g.table_name, g.column_name, g.privilege_type)
    from information_schema.role_column_grants g
    where g.grantee = ${SERVICE_ROLE} and g.table_schema = 'tallybook'
    order by 1`
  return rows.map(({ privilege }) => privilege)
}

async function revokeAll(): Promise<void> {
  await database.owner.unsafe(`
    revoke all on all tables in schema tallybook from ${SERVICE_ROLE};
    revoke all on schema tallybook from ${SERVICE_ROLE}`)
}

test('granting again restores exactly the grants of the migrations', async () => {
  const before = await readPrivileges()
  expect(before.length).toBeGreaterThan(50)
  await revokeAll()
  expect(await readPrivileges()).toEqual([])
  await database.owner.begin(grantAll)
  expect(await readPrivileges()).toEqual(before)
})

test.each([
  ['all grants', revokeAll],
  [
    'the grant on the schema',
    () => database.owner`revoke all on schema tallybook from ${database.owner(SERVICE_ROLE)}`,
  ],
  [
    'the grants on one table',
    () => database.owner`revoke all on tiles from ${database.owner(SERVICE_ROLE)}`,
  ],
])('a service starts on a database without %s', async (_, revoke) => {
  const before = await readPrivileges()
  await revoke()
  const service = await startTestService({ database })
  const keys = [{ api_key_id: 1, requests: 1 }]
  expect((await service.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
  await service.stop()
  expect(await readPrivileges()).toEqual(before)
})

describe('a user who may not create roles', () => {
  const user = `tallybook_test_user_${process.pid}`
  beforeAll(async () => {
    await database.owner.unsafe(`create role ${user} login`)
  })
  afterAll(async () => {
    await database.owner.unsafe(`drop owned by ${user} cascade; drop role ${user}`)
  })

  const asUser = ({ address }: TestDatabase): ServerAddress => {
    if (!('url' in address)) return { ...address, user }
    const url = new URL(address.url)
    url.username = user
    return { url: url.href }
  }

  test('gets the statements that an administrator must run, then can migrate', async () => {
    const empty = await createDatabase({ empty: true })
    const [row] = await empty.owner`select current_database() as name`
    await empty.owner.unsafe(`grant create on database ${row!.name} to ${user}`)
    const owner = connectAsOwner(asUser(empty))
    try {
      const statements = `grant ${SERVICE_ROLE} to ${user};`
      await expect(migrate(owner, TEST_SHARDS)).rejects.toThrow(statements)
      await empty.owner.unsafe(statements)
      await migrate(owner, TEST_SHARDS)
      const pools = openPools(asUser(empty), TEST_SHARDS)
      expect(await pools.read`select from shards`).toHaveLength(TEST_SHARDS)
      await pools.close()
    } finally {
      await owner.end()
      await empty.drop()
    }
  })
})
