import { afterAll, beforeAll, expect, test } from 'bun:test'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { NOW, readPeriods } from '../../src/quota/used.ts'
import { createCheckpoints } from '../../src/read-model/projector/checkpoint.ts'
import { liveSource } from '../../src/read-model/queries/live-source.ts'
import { plansOf } from '../support/plans.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../support/server.ts'

// A list of very many keys whose periods have no totals yet joins them with their backdated usage,
// instead of comparing each row with each key.

const KEYS = 20_000

let database: TestDatabase
let pools: Pools
beforeAll(async () => {
  database = await createDatabase()
  const { owner } = database
  await createCheckpoints(owner)
  await owner`
    insert into keys (generation, token_hash, quota_limit, quota_period)
    select 1, 'key-' || i, 10, 'month'
    from generate_series(1, ${KEYS}::integer) i`
  await owner`
    insert into key_backdated_usage
      (shard, generation, position, token_hash, quarter, requests, tokens, quota_used)
    select 0, 1, i, 'key-' || i, date_trunc('hour', now()), 1, 3, 3
    from generate_series(1, ${KEYS}::integer) i`
  await owner`analyze keys`
  await owner`analyze key_backdated_usage`
  pools = openPools(database.address, TEST_SHARDS)
})
afterAll(async () => {
  await pools.close()
  await database.drop()
})

test('backdated usage is not compared with a list of all keys', async () => {
  const { outcome, plans } = await plansOf(pools.read, 'key_backdated_usage', async (read) => {
    const state = { ...NOW, scope: { tokenHash: null } }
    const periods = await readPeriods(read, liveSource(read), {} as never, state)
    const [row] = await read<{ keys: string; used: string }[]>`
      select count(*) as keys, sum(u.quota_used) as used
      from (${periods.used(null)}) u`
    return row!
  })
  expect(outcome).toEqual({ keys: String(KEYS), used: String(3 * KEYS) })
  expect(plans.length).toBe(1)
  expect(plans[0]).not.toMatch(/on key_backdated_usage.*\n.*ANY/)
})
