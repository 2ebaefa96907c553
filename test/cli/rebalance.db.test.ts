import { expect, test } from 'bun:test'
import type { ServerAddress } from '../../src/platform/postgres/pool.ts'
import { outcomeOf } from '../support/archive.ts'
import { runTallybook } from '../support/process.ts'
import { startProxy } from '../support/proxy.ts'
import { useDatabase } from '../support/server.ts'

// `tallybook rebalance` without Citus. With Citus: test/platform/postgres/citus-nodes.db.test.ts.

const database = useDatabase()

function urlOf(address: ServerAddress): string {
  if ('url' in address) return address.url
  const { host, port, user, database: name } = address
  return `postgres://${user}@${host}:${port}/${name}`
}

const rebalance = (args: string[], env: Record<string, string> = {}) =>
  outcomeOf(runTallybook(['rebalance', ...args], '/nowhere', env))

test('rebalance explains what it cannot do', async () => {
  const alone = await rebalance([])
  expect(alone).toMatchObject({ code: 1, stdout: '' })
  expect(alone.stderr).toStartWith('DATABASE_URL must name')
  const proxy = await startProxy(database.address)
  const plain = await rebalance([], { DATABASE_URL: urlOf(proxy.address) })
  await proxy.close()
  expect(plain).toMatchObject({ code: 1, stdout: '' })
  expect(plain.stderr).toStartWith('The tables of this database are not distributed')
  const wrong = await rebalance(['--dry'])
  expect(wrong.stderr).toStartWith('Usage: tallybook rebalance [--dry-run]')
  const unreachable = await rebalance([], { DATABASE_URL: 'postgres://nobody@127.0.0.1:9/none' })
  expect(unreachable).toMatchObject({ code: 1, stdout: '' })
  expect(unreachable.stderr).toStartWith('Rebalancing failed')
})
