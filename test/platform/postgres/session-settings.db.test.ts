import { afterAll, beforeAll, expect, test } from 'bun:test'
import { openPools, type Pools, SCHEMA, SERVICE_ROLE } from '../../../src/platform/postgres/pool.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../../support/server.ts'
import { startTestService, type TestService } from '../../support/service.ts'

// Settings that a database has for its sessions change nothing.

const SETTINGS = {
  extra_float_digits: '-5',
  array_nulls: 'off',
  bytea_output: 'escape',
  DateStyle: 'German, DMY',
  IntervalStyle: 'iso_8601',
  TimeZone: 'Pacific/Chatham',
  standard_conforming_strings: 'off',
  transform_null_equals: 'on',
  quote_all_identifiers: 'on',
  search_path: 'pg_catalog',
  synchronous_commit: 'off',
  default_transaction_isolation: 'serializable',
  default_transaction_read_only: 'on',
  default_transaction_deferrable: 'on',
  statement_timeout: '3s',
  lock_timeout: '1ms',
  idle_in_transaction_session_timeout: '1ms',
  idle_session_timeout: '3s',
}

let database: TestDatabase
let service: TestService
let pools: Pools

beforeAll(async () => {
  database = await createDatabase()
  const [row] = await database.owner`select current_database() as name`
  for (const [name, value] of Object.entries(SETTINGS)) {
    await database.owner.unsafe(`alter database ${row!.name} set ${name} = '${value}'`)
  }
  service = await startTestService({ database })
  pools = openPools(database.address, TEST_SHARDS)
})
afterAll(async () => {
  await pools.close()
  await service.end()
})

test('sessions of every pool have the settings that the service needs', async () => {
  for (const pool of ['append', 'project', 'read'] as const) {
    const [session] = await pools[pool]`
      select current_user as role, current_schema as schema,
        current_setting('synchronous_commit') as commit,
        current_setting('transaction_isolation') as isolation,
        current_setting('transaction_read_only') as read_only`
    expect(session).toEqual({
      role: SERVICE_ROLE,
      schema: SCHEMA,
      commit: 'on',
      isolation: 'read committed',
      read_only: pool === 'read' ? 'on' : 'off',
    })
  }
})

test('a database’s synchronous_commit = remote_apply stays in effect', async () => {
  const [row] = await database.owner`select current_database() as name`
  await database.owner.unsafe(`alter database ${row!.name} set synchronous_commit = remote_apply`)
  const other = openPools(database.address, TEST_SHARDS)
  const [session] = await other.append`select current_setting('synchronous_commit') as commit`
  expect(session!.commit).toBe('remote_apply')
  await other.close()
})

test('the pages of a list sorted by a rate have each row once', async () => {
  const ids = Array.from({ length: 300 }, (_, i) => i + 1)
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: ids.map((id) => ({ id, group_id: 1 })),
  })
  const keys = ids.map((id) => ({
    api_key_id: id,
    requests: 1_000_000 + id,
    success_requests: 333_333,
  }))
  expect((await service.post('/internal/apikey-stats/flush', { keys })).status).toBe(200)
  const seen: number[] = []
  let cursor: string | null = null
  do {
    const more: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page: { items: { id: number }[]; next_cursor: string | null } = await service.read(
      `/admin/api-keys?sort=success_rate&limit=7${more}`,
    )
    seen.push(...page.items.map(({ id }) => id))
    cursor = page.next_cursor
  } while (cursor !== null)
  expect(seen.sort((a, b) => a - b)).toEqual(ids)
})

test('keys without a group or a limit are folded', async () => {
  await service.putCatalog({ api_keys: [{ id: 900 }], keys: [{ token_hash: 'k' }] })
  await service.post('/internal/apikey-stats/flush', { keys: [{ api_key_id: 900, requests: 2 }] })
  await service.post('/internal/stats/flush', { keys: [{ token_hash: 'k', tokens: 3 }] })
  expect(await service.read('/admin/api-keys/900')).toMatchObject({ total_requests: 2 })
  expect(await service.read('/admin/keys/k')).toMatchObject({ used_tokens: 3 })
})
