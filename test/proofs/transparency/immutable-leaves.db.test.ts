import { afterAll, beforeAll, expect, test } from 'bun:test'
import { openPools, type Pools } from '../../../src/platform/postgres/pool.ts'
import { integrateEvents } from '../../../src/proofs/transparency/integrate.ts'
import { insertEmptyFlushes } from '../../support/events.ts'
import { TEST_SHARDS, useDatabase } from '../../support/server.ts'

// No one can change a leaf: neither the service nor the owner of the database.

const SHARD = TEST_SHARDS - 1
const INSUFFICIENT_PRIVILEGE = '42501'

const database = useDatabase()
let pools: Pools

beforeAll(async () => {
  pools = openPools(database.address, TEST_SHARDS)
  await insertEmptyFlushes(database.owner, SHARD, 4)
  await integrateEvents(pools.project, SHARD)
})
afterAll(() => pools.close())

const CHANGES = [
  `update tiles set hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1)`,
  `update tiles set hashes = ''`,
  `update tiles set hashes = hashes`,
  `update tiles set hashes = substring(hashes for 32)`,
  `update tiles set hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) || hashes`,
  `update tiles set number = number + 1, hashes = hashes || hashes`,
  `delete from tiles`,
  `truncate tiles`,
]

test.each(CHANGES)('refused: %s', async (change) => {
  const before = await readLeaves()
  expect(before).toHaveLength(4 * 64)
  for (const sql of [pools.project, database.owner]) {
    const code = await sql.unsafe(change).then(
      () => null,
      (error: { code?: string }) => error.code,
    )
    expect(code).toBe(INSUFFICIENT_PRIVILEGE)
  }
  expect(await readLeaves()).toBe(before)
})

async function readLeaves(): Promise<string> {
  const [row] = await database.owner<{ hashes: string }[]>`
    select string_agg(encode(t.hashes, 'hex'), '' order by t.number) as hashes
    from tiles t
    where t.shard = ${SHARD} and t.level = 0`
  return row!.hashes
}
