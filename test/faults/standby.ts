import { hashLeaf, toLeaf } from '../../src/events/leaf.ts'
import { readLeafEvents } from '../../src/log/read.ts'
import type { Sql } from '../../src/platform/postgres/pool.ts'
import { equalHashes } from '../../src/proofs/merkle/hash.ts'
import { parseTreeHead } from '../../src/proofs/merkle/tree-head.ts'
import type { TestServer } from '../cluster/replicas/servers.ts'
import { rootOf } from '../support/tree.ts'
import { until } from '../support/until.ts'

/** Makes commits wait until the standby has them. */
export async function makeSynchronous(primary: TestServer): Promise<void> {
  await primary.run(`alter system set synchronous_standby_names = '*'`)
  await primary.run('select pg_reload_conf()')
  const owner = primary.connect()
  await until(async () => {
    const rows = await owner`select from pg_stat_replication where sync_state = 'sync'`
    return rows.length > 0
  })
  await owner.end()
}

/** Stops replication: the replica lacks what the primary commits from now on. */
export async function stopReceiving(replica: TestServer): Promise<void> {
  await replica.run(`alter system set primary_conninfo = ''`)
  await replica.run('select pg_reload_conf()')
  const owner = replica.connect()
  await until(async () => (await owner`select from pg_stat_wal_receiver`).length === 0)
  await owner.end()
}

/** Makes a standby the primary. */
export async function promote(replica: TestServer): Promise<void> {
  await replica.run('select pg_promote(true, 60)')
  // Otherwise commits would wait forever for a standby of the new primary.
  await replica.run(`alter system set synchronous_standby_names = ''`)
  await replica.run('select pg_reload_conf()')
}

/** Returns the sizes of the tree heads that don't match the events in the database. */
export async function findForeignHeads(
  owner: Sql,
  shard: number,
  heads: Iterable<string>,
): Promise<number[]> {
  const events = await readLeafEvents(owner, shard, 0, 1_000_000)
  const leaves = events.map((event) => hashLeaf(toLeaf(event)))
  return [...heads]
    .map((text) => parseTreeHead(text)!)
    .filter(({ size, root }) => {
      return size > leaves.length || !equalHashes(rootOf(leaves.slice(0, size)), root)
    })
    .map(({ size }) => size)
}
