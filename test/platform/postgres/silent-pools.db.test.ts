import { afterEach, beforeEach, expect, test } from 'bun:test'
import { openPools, type Pools, transact } from '../../../src/platform/postgres/pool.ts'
import {
  type FaultyProxy,
  type NetworkFault,
  startFaultyProxy,
} from '../../support/faulty-proxy.ts'
import { useDatabase } from '../../support/server.ts'
import { until } from '../../support/until.ts'

// What becomes of statements of a pool whose connections die without a word.

const NAMES = ['append', 'project', 'read', 'control', 'session'] as const

const database = useDatabase({ shards: 1 })
let way: FaultyProxy
let pools: Pools

beforeEach(async () => {
  const options = { delayMs: { shortest: 1, longest: 2 }, random: Math.random }
  way = await startFaultyProxy(database.address, options)
  pools = openPools(way.address, 1, { silentAfterMs: 200 })
  await Promise.all(NAMES.map((name) => useAll(name)))
})
afterEach(async () => {
  way.end()
  await pools.close()
  await way.close()
})

/** Opens all connections of a pool; gives how many they are. */
async function useAll(name: (typeof NAMES)[number], opened = pools): Promise<number> {
  const pool = opened[name]
  const held = await Promise.all(
    Array.from({ length: pool.options.max }, async () => pool.reserve()),
  )
  for (const connection of held) connection.release()
  return held.length
}

const ask = async (name: (typeof NAMES)[number]) =>
  pools[name]`select 1 as one`.then(
    () => 'answered',
    () => 'failed',
  )

test.each(['swallow', 'swallow questions', 'swallow answers', 'half-open'] as NetworkFault[])(
  'a connection is given up however often it is asked meanwhile: %s',
  async (fault) => {
    way.begin(fault, 'all')
    const asked: Promise<string>[] = []
    let isSettled = false
    // All connections are busy, and get more to do before the time is over that they are waited for.
    for (let i = 0; i < 2_000 && !isSettled; i++) {
      asked.push(ask('session'))
      void asked[0]!.then(() => {
        isSettled = true
      })
      await Bun.sleep(20)
    }
    expect(await asked[0]!).toBe('failed')
    way.end()
    await Promise.all(asked)
    expect(await ask('session')).toBe('answered')
  },
)

test('a transaction amid which the connection dies ends, whatever waits behind it', async () => {
  const reached = Promise.withResolvers<void>()
  const ended = transact(pools.session, '', async (transaction) => {
    await transaction`select 1`
    way.begin('swallow', 'all')
    reached.resolve()
    await transaction`select 2`
  }).then(
    () => 'answered',
    () => 'failed',
  )
  await reached.promise
  const behind = Array.from({ length: 20 }, () => ask('session'))
  expect(await ended).toBe('failed')
  way.end()
  await Promise.all(behind)
  expect(await ask('session')).toBe('answered')
})

test.each(['refused', 'unanswered'] as NetworkFault[])(
  'who waits for a connection is told with the first who finds that there is none: %s',
  async (fault) => {
    way.begin(fault, 'all')
    // In turns: first those that are open are lost, then none can be made.
    await Promise.all(Array.from({ length: 100 }, () => ask('read')))
    const before = way.asked
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask('read')))
    expect(new Set(answers)).toEqual(new Set(['failed']))
    // One try each would be a hundred, and with no answer five seconds for every eight of them.
    expect(way.asked - before).toBeLessThan(50)
  },
  30_000,
)

test('with one connection that is lost the idle ones go that may be lost with it', async () => {
  way.begin('half-open', 'all')
  // Longer than silence is borne: from then on they are doubtful.
  await Bun.sleep(300)
  expect(await ask('control')).toBe('failed')
  for (const name of NAMES) expect([name, await ask(name)]).toEqual([name, 'answered'])
})

test('where one is waited for that the server works on, the idle ones stay', async () => {
  // Time enough for a loaded machine to answer whether it works on it.
  const patient = openPools(database.address, 1, { silentAfterMs: 1_000 })
  try {
    await Promise.all(NAMES.map((name) => useAll(name, patient)))
    const before = await readPids()
    // Several times as long as silence is borne.
    await patient.control`select pg_sleep(3)`
    expect(await readPids()).toEqual(before)
  } finally {
    await patient.close()
  }
})

async function readPids(): Promise<number[]> {
  const rows = await database.owner<{ pid: number }[]>`
    select a.pid from pg_stat_activity a
    where a.datname = current_database() and a.application_name like 'tallybook %'
    order by a.pid`
  return rows.map(({ pid }) => pid)
}

test('a connection is given up whose server waits for what follows a lost answer', async () => {
  way.begin('swallow answers', 'project')
  // With parameters: what the statement returns is asked first, and the server counts as active.
  const answer = pools.project`select ${1}::integer as one`.then(
    () => 'answered',
    () => 'failed',
  )
  expect(await answer).toBe('failed')
})

test.each(['project', 'all'] as const)(
  'what a transaction has locked is free again that dies amid a statement: %s',
  async (purpose) => {
    // The way to ask the server is there, or comes back later.
    const isBehind = transact(pools.project, '', async (transaction) => {
      await transaction`select from shards for update`
      // What it returns is asked first; the answer is lost, and the server waits for what follows.
      way.begin('swallow answers', purpose)
      await transaction`select ${1}::integer as one`
    }).then(
      () => 'answered',
      () => 'failed',
    )
    expect(await isBehind).toBe('failed')
    way.end()
    await until(() =>
      database.owner`select from shards for update nowait`.then(
        () => true,
        () => false,
      ),
    )
  },
)
