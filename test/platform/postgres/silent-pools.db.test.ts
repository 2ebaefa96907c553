import { afterEach, beforeEach, expect, test } from 'bun:test'
import { openPools, type Pools, transact } from '../../../src/platform/postgres/pool.ts'
import {
  type FaultyProxy,
  type NetworkFault,
  startFaultyProxy,
} from '../../support/faulty-proxy.ts'
import { useDatabase } from '../../support/server.ts'
import { until } from '../../support/until.ts'

// Statements of a pool whose connections die silently.

const NAMES = ['append', 'project', 'read', 'control', 'session'] as const

const database = useDatabase({ shards: 1 })
let proxy: FaultyProxy
let pools: Pools

beforeEach(async () => {
  const options = { delayMs: { shortest: 1, longest: 2 }, random: Math.random }
  proxy = await startFaultyProxy(database.address, options)
  pools = await until(openAll)
})
afterEach(async () => {
  proxy.end()
  await pools.close()
  await proxy.close()
})

/** Opens all connections; null if a busy machine took longer than a connection may be silent. */
async function openAll(): Promise<Pools | null> {
  const opened = openPools(proxy.address, 1, { silentAfterMs: 200 })
  try {
    await Promise.all(NAMES.map((name) => useAll(name, opened)))
    return opened
  } catch {
    await opened.close()
    return null
  }
}

/** Opens all connections of a pool, and returns the process ids of their sessions. */
async function useAll(name: (typeof NAMES)[number], opened: Pools): Promise<number[]> {
  const pool = opened[name]
  const held = await Promise.all(
    Array.from({ length: pool.options.max }, async () => pool.reserve()),
  )
  const pids = held.map(async (connection) => {
    const [row] = await connection<{ pid: number }[]>`select pg_backend_pid() as pid`
    return row!.pid
  })
  const all = await Promise.all(pids)
  for (const connection of held) connection.release()
  return all
}

const ask = async (name: (typeof NAMES)[number]) =>
  pools[name]`select 1 as one`.then(
    () => 'answered',
    () => 'failed',
  )

test.each(['swallow', 'swallow questions', 'swallow answers', 'half-open'] as NetworkFault[])(
  'a dead connection is given up, however many statements are queued on it: %s',
  async (fault) => {
    proxy.begin(fault, 'all')
    const asked: Promise<string>[] = []
    let isSettled = false
    // All connections are busy, and get more statements before `silentAfterMs` has passed.
    for (let i = 0; i < 2_000 && !isSettled; i++) {
      asked.push(ask('session'))
      void asked[0]!.then(() => {
        isSettled = true
      })
      await Bun.sleep(20)
    }
    expect(await asked[0]!).toBe('failed')
    proxy.end()
    await Promise.all(asked)
    expect(await ask('session')).toBe('answered')
  },
)

test('a transaction whose connection dies ends, whatever is queued behind it', async () => {
  const reached = Promise.withResolvers<void>()
  const ended = transact(pools.session, '', async (transaction) => {
    await transaction`select 1`
    proxy.begin('swallow', 'all')
    reached.resolve()
    await transaction`select 2`
  }).then(
    () => 'answered',
    () => 'failed',
  )
  await reached.promise
  const queued = Array.from({ length: 20 }, () => ask('session'))
  expect(await ended).toBe('failed')
  proxy.end()
  await Promise.all(queued)
  expect(await ask('session')).toBe('answered')
})

test.each(['refused', 'unanswered'] as NetworkFault[])(
  'when one connection attempt fails, all waiting statements fail with it: %s',
  async (fault) => {
    proxy.begin(fault, 'all')
    // The open connections are lost first; then no new one can be made.
    await Promise.all(Array.from({ length: 100 }, () => ask('read')))
    const before = proxy.asked
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask('read')))
    expect(new Set(answers)).toEqual(new Set(['failed']))
    // With one attempt each it would be 100, and unanswered ones would take 5 s for every 8.
    expect(proxy.asked - before).toBeLessThan(50)
  },
  30_000,
)

test('when one connection is lost, idle connections that may be lost too are closed', async () => {
  proxy.begin('half-open', 'all')
  // Longer than `silentAfterMs`: from then on the idle connections are suspect.
  await Bun.sleep(300)
  expect(await ask('control')).toBe('failed')
  for (const name of NAMES) expect([name, await ask(name)]).toEqual([name, 'answered'])
})

test('while the server works on a long statement, idle connections stay open', async () => {
  // A loaded machine may need this long to answer whether it works on the statement.
  const patient = openPools(database.address, 1, { silentAfterMs: 1_000 })
  try {
    const opened = (await Promise.all(NAMES.map((name) => useAll(name, patient)))).flat()
    // Several times `silentAfterMs`.
    await patient.control`select pg_sleep(3)`
    const left = new Set(await readPids())
    expect(opened.filter((pid) => !left.has(pid))).toEqual([])
  } finally {
    await patient.close()
  }
})

test('a statement that ends while the server is asked about it closes no idle connections', async () => {
  const direct = openPools(database.address, 1, { silentAfterMs: 200 })
  try {
    const opened = (await Promise.all(NAMES.map((name) => useAll(name, direct)))).flat()
    // The server is asked every 50 ms.
    for (let ms = 200; ms < 250; ms += 5) {
      const seconds = [ms, ms + 1, ms + 3].map((each) => each / 1_000)
      await Promise.all(seconds.map((each) => direct.control`select pg_sleep(${each})`))
    }
    const left = new Set(await readPids())
    expect(opened.filter((pid) => !left.has(pid))).toEqual([])
  } finally {
    await direct.close()
  }
})

async function readPids(): Promise<number[]> {
  const rows = await database.owner<{ pid: number }[]>`
    select a.pid from pg_stat_activity a
    where a.datname = current_database() and a.application_name like 'tallybook %'
    order by a.pid`
  return rows.map(({ pid }) => pid)
}

test('a connection is given up if its server waits for more after a lost answer', async () => {
  proxy.begin('swallow answers', 'project')
  // A statement with parameters is described first, and the server counts as active.
  const answer = pools.project`select ${1}::integer as one`.then(
    () => 'answered',
    () => 'failed',
  )
  expect(await answer).toBe('failed')
})

test.each(['project', 'all'] as const)(
  'a transaction that dies during a statement releases its locks: %s',
  async (purpose) => {
    // The pool that checks the server works at once, or only later.
    const outcome = transact(pools.project, '', async (transaction) => {
      await transaction`select from shards where shard = 0 for update`
      // It is described first; that answer is lost, and the server waits for the next message.
      proxy.begin('swallow answers', purpose)
      await transaction`select ${1}::integer as one`
    }).then(
      () => 'answered',
      () => 'failed',
    )
    expect(await outcome).toBe('failed')
    proxy.end()
    await until(() =>
      database.owner`select from shards where shard = 0 for update nowait`.then(
        () => true,
        () => false,
      ),
    )
  },
)
