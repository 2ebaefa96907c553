import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { migrate, readMigrations } from '../../../src/platform/postgres/migrate.ts'
import { connectAsOwner, SCHEMA } from '../../../src/platform/postgres/pool.ts'
import { UserError } from '../../../src/platform/user-error.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../../support/server.ts'
import { startTestService } from '../../support/service.ts'

let database: TestDatabase

/** Migrates as a service does at its start, on a connection of its own. */
async function start(shards = TEST_SHARDS): Promise<void> {
  const owner = connectAsOwner(database.address)
  try {
    await migrate(owner, shards)
  } finally {
    await owner.end()
  }
}

/** Returns the message of a refused start, or null if it succeeds. */
async function refusal(shards = TEST_SHARDS): Promise<string | null> {
  return start(shards).then(
    () => null,
    (error: unknown) => {
      if (error instanceof UserError) return error.message
      throw error
    },
  )
}

afterEach(() => database.drop())

describe('an empty database', () => {
  beforeEach(async () => {
    database = await createDatabase({ empty: true })
  })

  test('is migrated by one of twenty concurrent starts, and all twenty succeed', async () => {
    await Promise.all(Array.from({ length: 20 }, () => start()))
    const { owner } = database
    const migrations = await owner<{ number: number }[]>`
      select number from migrations order by number`
    expect(migrations.length).toBeGreaterThan(0)
    const numbers = readMigrations().map(({ number }) => number)
    expect(migrations.map(({ number }) => number)).toEqual(numbers)
    const shards = await owner<{ shard: number }[]>`
      select shard, catalog_position::integer as catalog_position from shards order by shard`
    expect([...shards]).toEqual(
      Array.from({ length: TEST_SHARDS }, (_, shard) => ({ shard, catalog_position: -1 })),
    )
  })

  test('takes six services that start at once, and all of them count flushes', async () => {
    const services = await Promise.all(
      Array.from({ length: 6 }, () => startTestService({ database })),
    )
    await services[0]!.putCatalog({ api_keys: [{ id: 1 }] })
    for (const service of services) {
      const keys = [{ api_key_id: 1, requests: 1 }]
      expect((await service.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
    }
    const read = await services[5]!.read<{ total_requests: number }>('/admin/api-keys/1')
    expect(read.total_requests).toBe(services.length)
    for (const service of services) await service.stop()
  })

  test('stays empty if a start fails half-way', async () => {
    // The last table but one already exists, so the transaction fails after most of the work.
    await database.owner.unsafe(`create schema ${SCHEMA}; create table ${SCHEMA}.api_keys ()`)
    await expect(start()).rejects.toThrow('already exists')
    const tables = await database.owner`
      select tablename from pg_tables where schemaname = ${SCHEMA}`
    expect([...tables]).toEqual([{ tablename: 'api_keys' }])
    await database.owner.unsafe(`drop table ${SCHEMA}.api_keys`)
    await start()
  })
})

describe('a migrated database', () => {
  beforeEach(async () => {
    database = await createDatabase()
  })

  test('is not changed by another start', async () => {
    // Every object of the schema, with the last transaction that wrote its row.
    const readVersions = async () => [
      ...(await database.owner`
        select 'class' as kind, c.oid::integer, c.xmin::text from pg_class c
        where c.relnamespace = ${SCHEMA}::regnamespace
        union all
        select 'function', p.oid::integer, p.xmin::text from pg_proc p
        where p.pronamespace = ${SCHEMA}::regnamespace
        union all
        select 'migration', m.number, m.xmin::text from migrations m
        union all
        select 'shard', s.shard, s.xmin::text from shards s
        order by 1, 2`),
    ]
    const before = await readVersions()
    await start()
    expect(await readVersions()).toEqual(before)
  })

  test('with another number of shards is refused with the number that it has', async () => {
    const other = TEST_SHARDS + 1
    const sentence = await refusal(other)
    expect(sentence).toMatch(new RegExp(`\\b${TEST_SHARDS}\\b.*TALLYBOOK_SHARDS is ${other}\\b`))
    expect(sentence).toContain(`TALLYBOOK_SHARDS=${TEST_SHARDS}`)
    expect(sentence!.replace(/\d+/g, 'N')).toMatchSnapshot()
    expect(await refusal(TEST_SHARDS)).toBeNull()
  })

  test('of a newer version is refused', async () => {
    await database.owner`
      insert into migrations (number, name, sha256) values (9999, 'of-tomorrow', 'abc')`
    expect(await refusal()).toMatchSnapshot()
  })

  test('with a different text of a migration is refused', async () => {
    await database.owner`update migrations set sha256 = repeat('0', 64) where number = 1`
    expect(await refusal()).toMatchSnapshot()
  })
})
