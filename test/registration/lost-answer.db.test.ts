import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { AppendOutcome } from '../../src/log/queue.ts'
import { startBarrier } from '../support/barrier.ts'
import { countFlushes, lockShards, untilWaiting } from '../support/events.ts'
import { positionOfOutcome, startTestLog, type TestLog } from '../support/log.ts'
import { type LossyProxy, startProxy } from '../support/proxy.ts'
import { countRegistered, flushOf } from '../support/registered.ts'
import { useDatabase } from '../support/server.ts'

// A flush whose keys could not be registered, or whose answer was lost, is answered as unavailable.
// Its retry counts once, and gets the answer of the attempt that was appended.

const REFUSED = { kind: 'unavailable', reason: 'database' } as const
const OPTIONS = { registerPerDay: 10_000 }

const database = useDatabase()
let proxy: LossyProxy
let log: TestLog

beforeAll(async () => {
  proxy = await startProxy(database.address)
  log = await startTestLog(database, OPTIONS)
})

afterAll(async () => {
  await log.stop()
  await proxy.close()
})

const post = (key: string, through = log) => through.append(flushOf({ name: key }), { key })

/** Retries while the database is unavailable, as a client does. */
async function retry(key: string): Promise<AppendOutcome> {
  let outcome = await post(key)
  for (let tries = 1; outcome.kind === 'unavailable' && tries < 10; tries++) {
    outcome = await post(key)
  }
  return outcome
}

const readCounts = async () => ({
  flushes: await countFlushes(database.owner),
  registered: await countRegistered(database.owner),
})

/** Expects that retries count once, and register at most the one key. */
async function expectOnce(key: string, before: { flushes: number; registered: number }) {
  const first = await retry(key)
  expect(first).toMatchObject({ kind: 'appended', answer: { updated: 1, groups_updated: 0 } })
  expect(await readCounts()).toEqual({
    flushes: before.flushes + 1,
    registered: before.registered + 1,
  })
  const again = await retry(key)
  expect(again).toMatchObject({ replayed: true, answer: { updated: 1, groups_updated: 0 } })
  expect(positionOfOutcome(again)).toBe(positionOfOutcome(first))
}

test.each([
  ['before', 'append_catalog_change', 0, 'before the keys are registered'],
  ['after commit', 'append_catalog_change', 1, 'after the keys were registered'],
  ['before', 'append_batch', 1, 'between the registration and the append'],
  ['after commit', 'append_batch', 1, 'after the append'],
] as const)(
  'cut %s %s: refused, and the retry counts once',
  async (where, statement, registered, name) => {
    const before = await readCounts()
    // On new connections, which have not sent the statement before.
    const cutOff = await startTestLog({ ...database, address: proxy.address }, OPTIONS)
    const cut = proxy.cut(where, `from ${statement}(`)
    expect(await post(name, cutOff)).toEqual(REFUSED)
    await cut
    await cutOff.stop()
    expect((await readCounts()).registered).toBe(before.registered + registered)
    await expectOnce(name, before)
  },
)

test('a session that ends while it waits for a lock: refused, and nothing is registered', async () => {
  const before = await readCounts()
  const lock = await lockShards(database)
  try {
    const outcome = post('ended')
    const [pid] = await untilWaiting(database.owner, 1)
    await database.owner`select pg_terminate_backend(${pid!}::integer)`
    expect(await outcome).toEqual(REFUSED)
  } finally {
    await lock.release()
  }
  expect(await readCounts()).toEqual(before)
  await expectOnce('ended', before)
})

test('an instance that is killed between the registration and the append loses nothing', async () => {
  const before = await readCounts()
  const barrier = await startBarrier(database.address, 'from append_batch(')
  const killed = await startTestLog({ ...database, address: barrier.address }, OPTIONS)
  const outcome = post('killed', killed)
  await barrier.reached
  expect(await readCounts()).toEqual({ ...before, registered: before.registered + 1 })
  await barrier.close()
  expect(await outcome).toEqual(REFUSED)
  expect(await readCounts()).toEqual({ ...before, registered: before.registered + 1 })
  await expectOnce('killed', before)
  await killed.stop()
})

test('a retry of a flush that named an unknown key registers nothing', async () => {
  const ignoring = await startTestLog(database)
  const first = await post('ignored', ignoring)
  expect(first).toMatchObject({ replayed: false, answer: { updated: 0 } })
  await ignoring.stop()
  const before = await readCounts()
  const again = await post('ignored')
  expect(again).toMatchObject({ kind: 'appended', replayed: true, answer: { updated: 0 } })
  expect(positionOfOutcome(again)).toBe(positionOfOutcome(first))
  expect(await log.append(flushOf({ name: 'another' }), { key: 'ignored' })).toEqual({
    kind: 'key_reused',
  })
  expect(await readCounts()).toEqual(before)
  // The key is still unknown, and the next flush registers it.
  expect(await log.append(flushOf({ name: 'ignored' }))).toMatchObject({ answer: { updated: 1 } })
  expect(await post('ignored')).toMatchObject({ replayed: true, answer: { updated: 0 } })
})

test('a flush with a key that another token has used registers its keys', async () => {
  const { registered } = await readCounts()
  const [mine, other] = [flushOf({ name: 'mine' }), flushOf({ name: 'of another' })]
  const counted = { kind: 'appended', replayed: false, answer: { updated: 1 } }
  expect(await log.append(mine, { key: 'shared' })).toMatchObject(counted)
  expect(await log.append(other, { key: 'shared', source: 'dp-2' })).toMatchObject(counted)
  expect((await readCounts()).registered).toBe(registered + 2)
})

test('attempts at the same flush at once count once', async () => {
  const other = await startTestLog(database, OPTIONS)
  const before = await readCounts()
  const attempts = await Promise.all([post('twice'), post('twice', other), post('twice')])
  expect(new Set(attempts.map(positionOfOutcome)).size).toBe(1)
  for (const attempt of attempts) expect(attempt).toMatchObject({ answer: { updated: 1 } })
  await expectOnce('twice', before)
  await other.stop()
})
