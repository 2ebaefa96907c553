import { beforeAll, expect, test } from 'bun:test'
import { connectAsOwner } from '../../src/platform/postgres/pool.ts'
import { useService } from '../support/service.ts'

// Invariants 8 and 9: the request path locks no counter, and reads come from projections.

const service = useService()

beforeAll(async () => {
  await service.putCatalog({
    provider_groups: [{ id: 1 }],
    api_keys: [{ id: 1, group_id: 1 }],
    keys: [{ token_hash: 'a' }],
  })
})

const POSTS: [path: string, entry: object][] = [
  ['/internal/apikey-stats/flush', { api_key_id: 1, requests: 1 }],
  ['/internal/stats/flush', { token_hash: 'a', requests: 1 }],
]

/** Runs `work` while no one else can even read these tables. */
async function withLocked(tables: string, work: () => Promise<void>): Promise<void> {
  const pool = connectAsOwner(service.database.address)
  const connection = await pool.reserve()
  try {
    await connection`begin`
    await connection.unsafe(`lock table ${tables} in access exclusive mode`)
    await work()
  } finally {
    await connection`rollback`
    connection.release()
    await pool.end()
  }
}

test('flushes and catalog changes are acknowledged while every projection is locked', async () => {
  const tables =
    'checkpoints, projections, parked_events, api_key_counters, provider_group_counters, ' +
    'key_counters, provider_groups, api_keys, keys'
  await withLocked(tables, async () => {
    for (const [path, entry] of POSTS) {
      const headers = { 'idempotency-key': path }
      for (let i = 0; i < 3; i++) {
        expect((await service.post(path, { keys: [entry] }, headers)).status).toBe(200)
        expect((await service.post(path, { keys: [entry] })).status).toBe(200)
      }
    }
    expect((await service.putCatalog({ api_keys: [{ id: 2 }] })).status).toBe(200)
  })
  expect(await service.read('/admin/api-keys/1')).toMatchObject({ total_requests: 4 })
})

test('reads are answered while the log is locked', async () => {
  await withLocked('events', async () => {
    const paths = ['apikey-stats/summary', 'provider-groups', 'api-keys', 'keys', 'api-keys/1']
    for (const path of paths) {
      const response = await service.fetch('admin', `/admin/${path}?consistency=eventual`)
      expect(response.status).toBe(200)
    }
  })
})
