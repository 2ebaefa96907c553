import { expect, test } from 'bun:test'
import { insertEvent } from '../support/events.ts'
import { startTestLog, type TestLog } from '../support/log.ts'
import { countRegistered, flushOf, keyFlushOf } from '../support/registered.ts'
import { saveDatabase } from '../support/rewind.ts'
import { createDatabase, type TestDatabase } from '../support/server.ts'

// The number of keys that the service registers on a day, over all instances, has a limit.

const LIMIT = 50

const start = (database: TestDatabase) => startTestLog(database, { registerPerDay: LIMIT })

/** Runs a test with two instances on a database of its own. */
async function withTwo(run: (one: TestLog, other: TestLog) => Promise<void>): Promise<void> {
  const database = await createDatabase()
  const logs = [await start(database), await start(database)] as const
  try {
    await run(...logs)
  } finally {
    for (const log of logs) await log.stop()
    await database.drop()
  }
}

const updatedOf = (outcome: unknown) => (outcome as { answer: { updated: number } }).answer.updated
const limited = (...logs: TestLog[]) => logs.reduce((sum, log) => sum + log.limited(), 0)

test('two instances that register at once stop together at exactly the limit', () =>
  withTwo(async (one, other) => {
    const { owner } = one.database
    const posts = Array.from({ length: 60 }, (_, i) => [
      // Above the ids that names get.
      one.append(flushOf({ id: 2 ** 52 + i })),
      other.append(i % 2 ? flushOf({ name: `sk-${i}` }) : keyFlushOf({ hash: `token-${i}` })),
    ]).flat()
    const updated = (await Promise.all(posts)).map(updatedOf)
    expect(updated.filter((count) => count === 1)).toHaveLength(LIMIT)
    expect(updated.filter((count) => count === 0)).toHaveLength(posts.length - LIMIT)
    expect(await countRegistered(owner)).toBe(LIMIT)
    expect(limited(one, other)).toBe(posts.length - LIMIT)
    // Known keys count as before, and keys that an admin adds are not limited.
    await other.change({ api_keys: [{ id: 900, group_id: 0, name: null }] })
    expect(updatedOf(await one.append(flushOf({ id: 900 }, { id: 901 })))).toBe(1)
    expect(await countRegistered(owner)).toBe(LIMIT)
  }))

test('a flush with more keys than are left registers the first of them', () =>
  withTwo(async (one, other) => {
    const entries = Array.from({ length: LIMIT - 10 }, (_, i) => ({ id: i + 1 }))
    expect(updatedOf(await one.append(flushOf(...entries)))).toBe(LIMIT - 10)
    const others = Array.from({ length: 15 }, (_, i) => ({ id: i + 1_001 }))
    expect(updatedOf(await other.append(flushOf(...others)))).toBe(10)
    expect(limited(one, other)).toBe(5)
    expect(updatedOf(await one.append(flushOf({ id: 1_010 }, { id: 1_011 })))).toBe(1)
  }))

test('the limit counts what was registered before a restart', () =>
  withTwo(async (one) => {
    const entries = Array.from({ length: LIMIT - 1 }, (_, i) => ({ id: i + 1 }))
    await one.append(flushOf(...entries))
    const restarted = await start(one.database)
    try {
      expect(updatedOf(await restarted.append(flushOf({ id: 1_001 }, { id: 1_002 })))).toBe(1)
      expect(await countRegistered(one.database.owner)).toBe(LIMIT)
    } finally {
      await restarted.stop()
    }
  }))

test('changes of the day before, and those by tokens, do not count', () =>
  withTwo(async (one) => {
    const { owner } = one.database
    const midnight = Math.floor(Date.now() / 86_400_000) * 86_400_000
    const rows = (first: number) =>
      Array.from({ length: 30 }, (_, i) => ({ id: first + i, group_id: 0, name: null }))
    const recorded = [
      ['register:dp', new Date(midnight - 1), rows(1)],
      ['register:dp', new Date(midnight), rows(101)],
      ['admin', new Date(midnight), rows(201)],
    ] as const
    for (const [source, at, api_keys] of recorded) {
      const position = await insertEvent(owner, {
        ...{ type: 'CatalogChanged', source, recordedAt: at.toISOString() },
        payload: JSON.stringify({ upserted: { api_keys }, ended: {} }),
      })
      const [event] = await owner<{ payload_sha256: Buffer }[]>`
        select e.payload_sha256 from events e where e.shard = 0 and e.position = ${position}`
      await owner`
        update shards
        set catalog_position = ${position}, catalog_sha256 = ${event!.payload_sha256}`
    }
    const entries = Array.from({ length: LIMIT }, (_, i) => ({ id: 1_000 + i }))
    // Of this day there are 30.
    expect(updatedOf(await one.append(flushOf(...entries)))).toBe(LIMIT - 30)
  }))

test('registrations that the database has lost do not count', () =>
  withTwo(async (one, other) => {
    const { owner } = one.database
    await one.append(flushOf(...Array.from({ length: 20 }, (_, i) => ({ id: i + 1 }))))
    const saved = await saveDatabase(owner)
    await one.append(flushOf(...Array.from({ length: 20 }, (_, i) => ({ id: i + 101 }))))
    // Counts those first.
    await one.append(flushOf({ id: 151 }))
    await saved.restore()
    await other.append(flushOf({ id: 201 }))
    const entries = Array.from({ length: LIMIT }, (_, i) => ({ id: i + 301 }))
    expect(updatedOf(await one.append(flushOf(...entries)))).toBe(LIMIT - 21)
    expect(await countRegistered(owner)).toBe(LIMIT)
  }))

test('while the newest event is in the future, the limit is that of its day', () =>
  withTwo(async (one, other) => {
    const entries = (first: number, count: number) =>
      Array.from({ length: count }, (_, i) => ({ id: first + i }))
    expect(updatedOf(await one.append(flushOf(...entries(1, LIMIT))))).toBe(LIMIT)
    const recordedAt = new Date(Date.now() + 2 * 86_400_000).toISOString()
    await insertEvent(one.database.owner, { recordedAt })
    // Everything that is appended now is recorded on that day.
    expect(updatedOf(await one.append(flushOf(...entries(1_001, LIMIT - 1))))).toBe(LIMIT - 1)
    expect(updatedOf(await other.append(flushOf(...entries(2_001, 2))))).toBe(1)
    expect(await countRegistered(one.database.owner)).toBe(2 * LIMIT)
  }))
