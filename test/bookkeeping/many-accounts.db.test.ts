import { afterAll, beforeAll, expect, test } from 'bun:test'
import { findBroken } from '../../src/bookkeeping/checks.ts'
import { openPools, type Pools } from '../../src/platform/postgres/pool.ts'
import { createCheckpoints } from '../../src/read-model/projector/checkpoint.ts'
import { createDatabase, TEST_SHARDS, type TestDatabase } from '../support/server.ts'

// The check of an act that changes very many accounts joins them with their counters, instead of
// comparing each counter with each account.

const ACCOUNTS = 20_000

type Statement = { text: string; parameters: unknown[] }

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

/** Runs a check of all accounts and the statements that it consists of, as plans. */
async function check(requests: number): Promise<{ broken: string[]; plans: string[] }> {
  const { read } = pools
  const statements: Statement[] = []
  const debug = (_: number, text: string, parameters: unknown[]) => {
    statements.push({ text, parameters })
  }
  const ids = Array.from({ length: ACCOUNTS }, (_, i) => i + 1)
  const amounts = { ids, requests: ids.map(() => requests), successes: ids.map(() => 1) }
  Object.assign(read.options, { debug })
  const broken = await read.begin((transaction) =>
    findBroken(transaction, { api_keys: amounts }, -1),
  )
  Object.assign(read.options, { debug: false })
  const plans: string[] = []
  for (const { text, parameters } of statements) {
    if (!text.includes('api_key_counters')) continue
    const rows = await read.unsafe(`explain ${text}`, parameters as never[])
    plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'))
  }
  return { broken, plans }
}

test('counters are not compared with a list of all accounts', async () => {
  const { broken, plans } = await check(2)
  expect(broken).toEqual([])
  expect(plans.length).toBeGreaterThan(0)
  for (const plan of plans) expect(plan).not.toContain('ANY')
})

test('accounts that would be below zero are found among many', async () => {
  const { broken } = await check(3)
  expect(broken.length).toBe(20)
  expect(broken[0]).toBe('API key 1')
})
