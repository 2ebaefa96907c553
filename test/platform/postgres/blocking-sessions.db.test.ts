import { expect, test } from 'bun:test'
import { endBlockingSessions } from '../../../src/platform/postgres/blocking-sessions.ts'
import {
  connectAsOwner,
  openPools,
  type Sql,
  transact,
} from '../../../src/platform/postgres/pool.ts'
import { startFaultyProxy } from '../../support/faulty-proxy.ts'
import { useDatabase } from '../../support/server.ts'
import { until } from '../../support/until.ts'

// An instance that is cut off in the middle of a transaction must not keep the others from their
// work: one that waits for its locks ends its session.

const SILENCE_MS = 300

const database = useDatabase({ shards: 1 })

const lockShard = (sql: Sql) => sql`select from shards s where s.shard = 0 for update`

test('a session that waits for its cut-off client in a statement is ended', async () => {
  const delayMs = { shortest: 1, longest: 2 }
  const proxy = await startFaultyProxy(database.address, { delayMs, random: Math.random })
  // The instance itself notices later.
  const cut = openPools(proxy.address, 1, { silentAfterMs: 2_000 })
  const other = openPools(database.address, 1)
  const outcome = transact(cut.project, '', async (transaction) => {
    await transaction`select from shards s where s.shard = 0 for update`
    // It is described first; that answer is lost, and the server waits for the next message.
    proxy.begin('swallow answers', 'all')
    await transaction`select ${1}::integer as one`
  }).then(
    () => 'committed',
    () => 'lost',
  )
  try {
    await until(() => isWaitingForClient('active'))
    let isLocked = false
    const locking = lockShard(other.project).then(() => {
      isLocked = true
    })
    while (!isLocked) {
      await endBlockingSessions(other.control, database.address, SILENCE_MS)
      await Bun.sleep(20)
    }
    await locking
  } finally {
    proxy.end()
    expect(await outcome).toBe('lost')
    await Promise.all([cut.close(), other.close()])
    await proxy.close()
  }
})

test('sessions that nobody waits for, or of other programs, are not ended', async () => {
  const waiting = openPools(database.address, 1)
  const psql = connectAsOwner(database.address)
  const blocker = await psql.reserve()
  try {
    await blocker`set application_name = 'psql'`
    await blocker`begin`
    await blocker`select from tallybook.shards s where s.shard = 0 for update`
    const [{ pid }] = (await blocker`select pg_backend_pid() as pid`) as unknown as [
      { pid: number },
    ]
    await endBlockingSessions(waiting.control, database.address, 0)
    const locking = lockShard(waiting.project)
    void locking.catch(() => {})
    const started = performance.now()
    while (performance.now() - started < 500) {
      await endBlockingSessions(waiting.control, database.address, 0)
      await Bun.sleep(20)
    }
    const left = await database.owner`select from pg_stat_activity a where a.pid = ${pid}`
    expect(left).toHaveLength(1)
    await blocker`rollback`
    await locking
  } finally {
    blocker.release()
    await psql.end()
    await waiting.close()
  }
})

async function isWaitingForClient(state: string): Promise<boolean> {
  const rows = await database.owner`
    select from pg_stat_activity a
    where a.datname = current_database() and a.application_name = 'tallybook project'
      and a.state = ${state} and a.wait_event = 'ClientRead' and a.xact_start is not null`
  return rows.length > 0
}
