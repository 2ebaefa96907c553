import { expect, test } from 'bun:test'
import { isConnectionLost } from '../../../src/platform/postgres/errors.ts'
import { connectAsOwner, openPools, transact } from '../../../src/platform/postgres/pool.ts'
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

test.each([
  ['is not sent', false],
  ['is not sent on the next connection', true],
])('a statement of a transaction whose connection was lost %s', async (_, reconnects) => {
  const one = connectAsOwner(database.address)
  const goOn = Promise.withResolvers<void>()
  const outcome = Promise.withResolvers<unknown>()
  const lost = transact(one, '', async (transaction) => {
    const [row] = await transaction<{ pid: number }[]>`select pg_backend_pid() as pid`
    await database.owner`select pg_terminate_backend(${row!.pid}, 10000)`
    // It is waiting for something else when the connection is lost.
    await goOn.promise
    const statement = transaction`select pg_backend_pid() as pid`
    outcome.resolve(await statement.then(() => 'answered', isConnectionLost))
    throw new Error('given up')
  })
  expect(await lost.then(() => false, isConnectionLost)).toBe(true)
  // There is one connection, so this is where the transaction was.
  if (reconnects) await one`select 1`
  goOn.resolve()
  expect(await outcome.promise).toBe(true)
  await one`select 1`
  await one.end()
})

test('a statement of a reserved connection that was lost is not sent', async () => {
  const one = connectAsOwner(database.address)
  const reserved = await one.reserve()
  const [row] = await reserved<{ pid: number }[]>`select pg_backend_pid() as pid`
  await database.owner`select pg_terminate_backend(${row!.pid}, 10000)`
  await one`select 1`
  expect(await reserved`select 1`.then(() => false, isConnectionLost)).toBe(true)
  reserved.release()
  await one`select 1`
  await one.end()
})
