import { expect, test } from 'bun:test'
import { isConnectionLost } from '../../../src/platform/postgres/errors.ts'
import { openPools } from '../../../src/platform/postgres/pool.ts'
import { startProxy } from '../../support/proxy.ts'
import { TEST_SHARDS, useDatabase } from '../../support/server.ts'

const database = useDatabase()

test('a pool that lost a connection during a statement can be ended', async () => {
  const proxy = await startProxy(database.address)
  const pools = openPools(proxy.address, TEST_SHARDS)
  const cut = proxy.cut('before', 'lost')
  const isLost = pools.read`select 1 as lost`.then(() => false, isConnectionLost)
  await cut
  expect(await isLost).toBe(true)
  // Without a timeout, only the pool itself can end this call.
  await pools.read.end()
  await pools.close()
  await proxy.close()
})
