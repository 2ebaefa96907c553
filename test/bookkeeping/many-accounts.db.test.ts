import { afterAll, beforeAll, expect, test } from 'bun:test'
import { findBroken } from '../../src/bookkeeping/checks.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { createCheckpoints } from '../../src/read-model/projector/checkpoint.ts'
import { plansOf } from '../support/plans.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../support/server.ts'

// The check of an act that changes very many accounts joins them with their counters, instead of
// comparing each counter with each account.

const ACCOUNTS = 20_000

let database: TestDatabase
let pools: Pools
beforeAll(async () => {
  database = await createDatabase()
  await createCheckpoints(database.owner)
  await database.owner`
    insert into api_key_counters (shard, generation, api_key_id, requests, successes)
    select 0, 1, id, 2, 1
    from generate_series(1, ${ACCOUNTS}::integer) id`
  await database.owner`analyze api_key_counters`
  pools = openPools(database.address, TEST_SHARDS)
})
afterAll(async () => {
  await pools.close()
  await database.drop()
})

/** Checks all accounts. */
function check(requests: number) {
  const ids = Array.from({ length: ACCOUNTS }, (_, i) => i + 1)
  const amounts = { ids, requests: ids.map(() => requests), successes: ids.map(() => 1) }
  return plansOf(pools.read, 'api_key_counters', (transaction) =>
    findBroken(transaction, { api_keys: amounts }, -1),
  )
}

test('counters are not compared with a list of all accounts', async () => {
  const { outcome, plans } = await check(2)
  expect(outcome).toEqual([])
  expect(plans.length).toBeGreaterThan(0)
  for (const plan of plans) expect(plan).not.toContain('ANY')
})

test('accounts that would be below zero are found among many', async () => {
  const { outcome } = await check(3)
  expect(outcome.length).toBe(20)
  expect(outcome[0]).toBe('API key 1')
})
