import { afterAll, beforeAll, expect, test } from 'bun:test'
import { INTERVALS } from '../../src/platform/intervals.ts'
import { detailedFlush, readCounted } from '../support/dimensions.ts'
import { lockRows } from '../support/events.ts'
import { positionOfOutcome, startTestLog, type TestLog } from '../support/log.ts'
import { type LossyProxy, startProxy } from '../support/proxy.ts'
import { useDatabase } from '../support/server.ts'

// A flush whose values could not be accepted, or whose answer was lost, is answered as unavailable.
// Its retry counts once, and as the attempt was counted that was appended.

const REFUSED = { kind: 'unavailable', reason: 'database' } as const
const LIMIT = 4
const OPTIONS = { limits: { dimensionValues: LIMIT } }

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

/** Declares a dimension for a test. */
const declare = (name: string) =>
  log.change({ dimensions: [{ name }], api_keys: [{ id: 1, group_id: 0, name: null }] })

const flushOf = (name: string, values: number) =>
  detailedFlush(
    ...Array.from({ length: values }, (_, i) => ({ dimensions: { [name]: `value-${i}` } })),
  )

const countAccepted = async (name: string) => {
  const rows = await database.owner`
    select from accepted_values where kind = 'dimension' and name = ${name}`
  return rows.length
}

const readWith = async (name: string) =>
  (await readCounted(database.owner)).filter(({ posted }) => name in posted)

test.each([
  ['before', 'insert into accepted_values', 0, 'before_values'],
  ['after commit', 'insert into accepted_values', LIMIT, 'after_values'],
  ['before', 'append_batch', LIMIT, 'before_append'],
  ['after commit', 'append_batch', LIMIT, 'after_append'],
] as const)('cut %s %s: the retry counts once', async (where, statement, accepted, name) => {
  await declare(name)
  const cutOff = await startTestLog({ ...database, address: proxy.address }, OPTIONS)
  // Two inserts and the read of all values are answered before the commit of the transaction.
  const skip = name === 'after_values' ? 3 : 0
  const cut = proxy.cut(where, statement, skip)
  expect(await cutOff.append(flushOf(name, LIMIT + 2), { key: name })).toEqual(REFUSED)
  await cut
  await cutOff.stop()
  expect(await countAccepted(name)).toBe(accepted)
  const outcome = await log.append(flushOf(name, LIMIT + 2), { key: name })
  expect(outcome).toMatchObject({ kind: 'appended', replayed: name === 'after_append' })
  const again = await log.append(flushOf(name, LIMIT + 2), { key: name })
  expect(positionOfOutcome(again)).toBe(positionOfOutcome(outcome))
  expect(await countAccepted(name)).toBe(LIMIT)
  const entries = await readWith(name)
  expect(entries).toHaveLength(LIMIT + 2)
  expect(entries.filter(({ counted }) => counted[name] === 'other')).toHaveLength(2)
})

test('while others hold the lock of the day nothing is counted, and a retry is', async () => {
  await declare('locked')
  const impatient = await startTestLog(database, {
    ...OPTIONS,
    intervals: { ...INTERVALS, database: { ...INTERVALS.database, lockTimeoutMs: 100 } },
  })
  const connection = await database.owner.reserve()
  await connection`begin`
  await lockRows(connection, 'accepted_days')
  try {
    expect(await impatient.append(flushOf('locked', 1), { key: 'locked' })).toEqual(REFUSED)
  } finally {
    await connection`rollback`
    connection.release()
  }
  expect(await readWith('locked')).toEqual([])
  expect(await impatient.append(flushOf('locked', 1), { key: 'locked' })).toMatchObject({
    ...{ kind: 'appended', replayed: false },
  })
  expect(await readWith('locked')).toHaveLength(1)
  await impatient.stop()
})
