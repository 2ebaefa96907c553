import { expect, test } from 'bun:test'
import { nextChunk } from '../../../src/proofs/integrity/chunk.ts'
import { insertEvents } from '../../support/events.ts'
import { useDatabase } from '../../support/server.ts'

const database = useDatabase({ shards: 1 })

/** A payload that stays so large when PostgreSQL compresses it. */
const payload = (bytes: number) =>
  JSON.stringify(Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('base64'))

test('a chunk ends with the event that reaches its bytes, its events or the limit', async () => {
  const sizes = [10, 10, 3_000, 10, 10, 10]
  await insertEvents(database.owner, sizes.map(payload))
  const endOf = async (after: number, limit: number, limits: { events: number; bytes: number }) =>
    (await nextChunk(database.owner, 0, after, limit, limits)).through
  expect(await endOf(-1, 5, { events: 100, bytes: 2_000 })).toBe(2)
  expect(await endOf(2, 5, { events: 100, bytes: 2_000 })).toBe(5)
  expect(await endOf(-1, 5, { events: 2, bytes: 1_000_000 })).toBe(1)
  expect(await endOf(-1, 4, { events: 100, bytes: 1_000_000 })).toBe(4)
})
