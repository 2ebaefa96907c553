import { expect, test } from 'bun:test'
import { type TestLog, useLogs } from '../support/log.ts'

// Entries of a flush may name their API keys by external id. The event records the ids that they
// had when it was appended, and the names that no key had.

const [one, other] = useLogs(2) as [TestLog, TestLog]

const key = (id: number, external_id?: string) => ({
  ...{ id, group_id: 0, name: null },
  ...(external_id === undefined ? {} : { external_id }),
})

/** Posts one request of an API key, named by its id (0: none), its external id (null: none). */
const post = (log: TestLog, id: number, name: string | null, idempotencyKey?: string) => {
  const entries = { ids: [id], requests: [1], successes: [1], names: [name], places: [4] }
  return log.append(
    { type: 'ApiKeyStatsFlushed', entries },
    idempotencyKey === undefined ? {} : { key: idempotencyKey },
  )
}

const counted = (updated: number, replayed = false) => ({
  kind: 'appended',
  replayed,
  answer: { updated, groups_updated: 0 },
})

/** Reads the newest flush: its version, ids and names. */
async function newest(): Promise<{ version: number; ids: number[]; names: string[] | null }> {
  const [row] = await one.database.owner<{ version: number; payload: string }[]>`
    select version, payload::text as payload from events
    where type = 'ApiKeyStatsFlushed' order by recorded_at desc, position desc limit 1`
  const { ids, names = null } = JSON.parse(row!.payload)
  return { version: row!.version, ids, names }
}

test('a name that no key has counts nothing and is recorded', async () => {
  expect(await post(one, 0, 'sk-1')).toMatchObject(counted(0))
  expect(await newest()).toEqual({ version: 3, ids: [0], names: ['sk-1'] })
})

test('a name set through one instance counts in the next flush through the other', async () => {
  await other.change({ api_keys: [key(1, 'sk-1')] })
  expect(await post(one, 0, 'sk-1')).toMatchObject(counted(1))
  expect(await newest()).toEqual({ version: 2, ids: [1], names: null })
})

test('an entry may have both names of a key', async () => {
  expect(await post(one, 1, 'sk-1')).toMatchObject(counted(1))
  expect(await post(one, 1, null)).toMatchObject(counted(1))
})

test('an entry that names two keys is refused, and the others in its batch are appended', async () => {
  await other.change({ api_keys: [key(2, 'sk-2'), key(3)] })
  const outcomes = await Promise.all([
    post(one, 2, 'sk-1'),
    post(one, 2, 'sk-2'),
    post(one, 2, 'sk-none'),
    post(one, 3, 'sk-none'),
    post(one, 3, null),
  ])
  const refused = { kind: 'names_two_keys', place: 4 }
  expect(outcomes).toMatchObject([refused, counted(1), refused, refused, counted(1)])
})

test('a refusal is decided by the newest catalog', async () => {
  await other.change({ api_keys: [key(4)] })
  await one.flush(4, 1)
  // The other instance knows key 4 without a name, and not yet that it gets one.
  await other.flush(4, 1)
  await one.change({ api_keys: [key(4, 'sk-4')] })
  expect(await post(other, 4, 'sk-4')).toMatchObject(counted(1))
})

test('an id and a name that are both unknown are recorded', async () => {
  expect(await post(one, 50, 'sk-50')).toMatchObject(counted(0))
  expect(await newest()).toEqual({ version: 3, ids: [50], names: ['sk-50'] })
})

test('a retry is answered by its first attempt, whatever its names mean by now', async () => {
  expect(await post(one, 60, 'sk-60', 'retry-1')).toMatchObject(counted(0))
  expect(await post(one, 0, 'sk-61', 'retry-2')).toMatchObject(counted(0))
  await other.change({ api_keys: [key(60), key(61, 'sk-60'), key(62, 'sk-61')] })
  expect(await post(one, 60, 'sk-60', 'retry-3')).toEqual({ kind: 'names_two_keys', place: 4 })
  expect(await post(one, 60, 'sk-60', 'retry-1')).toMatchObject(counted(0, true))
  expect(await post(one, 0, 'sk-61', 'retry-2')).toMatchObject(counted(0, true))
  // The same key, named in another way.
  expect(await post(one, 62, null, 'retry-2')).toMatchObject(counted(0, true))
  expect(await post(one, 0, 'sk-62', 'retry-2')).toEqual({ kind: 'key_reused' })
})

test('the name of a retired key is recorded as its id', async () => {
  await other.change({}, { api_keys: [key(2, 'sk-2')] })
  expect(await post(one, 0, 'sk-2')).toMatchObject(counted(0))
  expect(await newest()).toEqual({ version: 2, ids: [2], names: null })

  // It is another key than any that has no external id yet.
  expect(await post(one, 2, 'sk-none')).toEqual({ kind: 'names_two_keys', place: 4 })
  expect(await post(one, 2, 'sk-2')).toMatchObject(counted(0))
})
