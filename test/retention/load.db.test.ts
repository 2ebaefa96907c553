import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { StoredEvent } from '../../src/events/event.ts'
import { readEvents } from '../../src/log/read.ts'
import { openLoading, type Sql } from '../../src/platform/postgres/pool.ts'
import { readLoaded } from '../../src/retention/load.ts'
import { makeEvent } from '../segment-files/events.ts'
import { useDatabase } from '../support/server.ts'

// Events that are loaded for a statement are those that were given, whatever texts they have.

const database = useDatabase()
let sql: Sql

beforeAll(() => {
  sql = openLoading(database.address)
})

afterAll(() => sql.end())

/** Texts that separate, quote or end something elsewhere. */
const TEXTS = ['a', '', '\x1e', 'a\x1eb', '\n', '"', "'", '\\', '\\x1e', '{}', ',', 'null', 'é😀']

const EVENTS: StoredEvent[] = [...TEXTS, null].map((text, position) => ({
  ...makeEvent(JSON.stringify({ text }), { position }),
  ...{ source: `s${text}`, idempotencyKey: text },
}))

const read = (events: readonly StoredEvent[]) =>
  readLoaded(sql, events, async (transaction) => {
    const range = { shard: 0, after: -1, through: 1_000 }
    const found = await readEvents(transaction, range, { rows: 1_000, bytes: 2 ** 30 })
    return found.events.map(({ payloadBytes: _, ...event }) => event)
  })

test('every column is the one that was loaded', async () => {
  expect(await read(EVENTS)).toEqual(EVENTS.map(({ payloadBytes: _, ...event }) => event))
})

test('no events are none', async () => {
  expect(await read([])).toEqual([])
})
