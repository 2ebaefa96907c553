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
import { startTestService } from '../../support/service.ts'
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

test('an instance that waits ends it with a heartbeat', async () => {
  const service = await startTestService({ database, shards: 1 })
  const session = await cutOff('tallybook project', true)
  try {
    await until(async () => {
      const { status } = await service.post('/internal/stats/flush', { keys: [] })
      return status === 200
    })
    const left = await database.owner`select from pg_stat_activity a where a.pid = ${session.pid}`
    expect(left).toHaveLength(0)
  } finally {
    await session.end()
    await service.stop()
  }
})

test.each([
  ['of another program', { program: 'psql', holds: true, silenceMs: 0 }],
  ['that nobody waits for', { program: 'tallybook project', holds: false, silenceMs: 0 }],
  [
    'that was silent for a moment',
    { program: 'tallybook project', holds: true, silenceMs: 60_000 },
  ],
])('a session %s is not ended', async (_, { program, holds, silenceMs }) => {
  const session = await cutOff(program, holds)
  const psql = connectAsOwner(database.address)
  const blocker = await psql.reserve()
  const waiting = openPools(database.address, 1)
  try {
    await blocker`set application_name = 'psql'`
    await blocker`begin`
    if (!holds) await lockShard(blocker)
    await endBlockingSessions(waiting.control, database.address, silenceMs)
    const locking = lockShard(waiting.project)
    void locking.catch(() => {})
    const started = performance.now()
    while (performance.now() - started < 500) {
      await endBlockingSessions(waiting.control, database.address, silenceMs)
      await Bun.sleep(20)
    }
    const left = await database.owner`
      select from pg_stat_activity a where a.pid in (${session.pid}, ${await pidOf(blocker)})`
    expect(left).toHaveLength(2)
    await blocker`rollback`
    await session.end()
    await locking
  } finally {
    blocker.release()
    await session.end()
    await Promise.all([psql.end(), waiting.close()])
  }
})

/** A session in a transaction that waits for its cut-off client, in the middle of a statement. */
async function cutOff(program: string, holdsLock: boolean) {
  const delayMs = { shortest: 1, longest: 2 }
  const proxy = await startFaultyProxy(database.address, { delayMs, random: Math.random })
  const client = connectAsOwner(proxy.address)
  const session = await client.reserve()
  await session`select set_config('application_name', ${program}, false)`
  await session`begin`
  if (holdsLock) await lockShard(session)
  const pid = await pidOf(session)
  proxy.begin('swallow answers', 'all')
  void session`select ${1}::integer as one`.catch(() => {})
  await until(() => isWaitingForClient('active', program))
  return {
    pid,
    end: async () => {
      await proxy.close()
      await client.end({ timeout: 1 })
    },
  }
}

async function pidOf(session: Sql): Promise<number> {
  const [row] = await session<{ pid: number }[]>`select pg_backend_pid() as pid`
  return row!.pid
}

async function isWaitingForClient(state: string, program = 'tallybook project'): Promise<boolean> {
  const rows = await database.owner`
    select from pg_stat_activity a
    where a.datname = current_database() and a.application_name = ${program}
      and a.state = ${state} and a.wait_event = 'ClientRead' and a.xact_start is not null`
  return rows.length > 0
}
