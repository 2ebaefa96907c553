import { expect, test } from 'bun:test'
import { positionOfOutcome, type TestLog, useLogs } from '../support/log.ts'
import { countRegistered, flushOf, keyFlushOf, readRegistrations } from '../support/registered.ts'

// Unknown keys of a flush are added to the catalog before it is appended, and so it counts.

const [one, other] = useLogs(2, { registerPerDay: 10_000 }) as [TestLog, TestLog]

const row = (id: number, external_id?: string) => ({
  ...{ id, group_id: 0, name: null },
  ...(external_id === undefined ? {} : { external_id }),
})
const counted = (updated: number, groups_updated = 0) => ({
  kind: 'appended',
  replayed: false,
  answer: { updated, groups_updated },
})
const newest = async () => (await readRegistrations(one.database.owner)).at(-1)

/** Reads the payload of the event at a position, `<shard>/<position>`. */
async function readPayload(place: string): Promise<Record<string, unknown>> {
  const [shard, position] = place.split('/').map(Number)
  const [event] = await one.database.owner<{ payload: string }[]>`
    select payload::text as payload from events
    where shard = ${shard!} and position = ${position!}`
  return JSON.parse(event!.payload)
}

test('a flush counts for keys that it registers, and its event holds no more than others', async () => {
  await other.change({ provider_groups: [{ id: 5, name: null, external_id: 'openai' }] })
  const hint = { group: 'openai', name: 'checkout' }
  const outcome = await one.append(flushOf({ id: 10, hint }, { name: 'sk-1' }))
  expect(outcome).toMatchObject(counted(2, 1))
  expect(await newest()).toEqual({
    source: 'register:dp',
    rows: { api_keys: [{ id: 10, group_id: 5, name: 'checkout' }, row(11, 'sk-1')] },
  })
  const event = { groups: [5, 0], counts: [1, 1], ids: [10, 11], requests: [1, 1] }
  const payload = await readPayload(positionOfOutcome(outcome))
  expect(payload).toEqual({ ...event, failing: [], failures: [] })
})

test('a flush of token keys counts for keys that it registers', async () => {
  const flush = keyFlushOf({ hash: 'token-1', name: 'Ada' }, { hash: 'token-2' })
  expect(await one.append(flush)).toMatchObject({ kind: 'appended', answer: { updated: 2 } })
  const rows = [
    { token_hash: 'token-1', quota_limit: -1, name: 'Ada' },
    { token_hash: 'token-2', quota_limit: -1, name: null },
  ]
  expect(await newest()).toEqual({ source: 'register:dp', rows: { keys: rows } })
})

test('the dimensions and measures of an entry count for the key that it registers', async () => {
  const declared = { dimensions: [{ name: 'model' }], measures: [{ name: 'cost', number: 0 }] }
  await one.change(declared)
  const details = {
    ...{ dimensions: ['model'], combinations: [['gpt-5']], combination: [0] },
    measures: [{ name: 'cost', values: [7] }],
  }
  const { entries, ...flush } = flushOf({ id: 900 })
  const posted = { ...flush, entries: { ...entries, details } } as Parameters<TestLog['append']>[0]
  const outcome = await one.append(posted)
  expect(outcome).toMatchObject(counted(1))
  expect(await readPayload(positionOfOutcome(outcome))).toMatchObject({
    ...{ groups: [0], measures: { cost: expect.any(Array) } },
  })
})

test('the keys of a batch are registered in one change for each token', async () => {
  const before = (await readRegistrations(one.database.owner)).length
  const post = (id: number, source: string) =>
    // The same shard for all, so that they are one batch.
    one.append(flushOf({ id }), { source })
  const outcomes = await Promise.all([
    ...[post(20, 'dp'), post(21, 'dp'), post(20, 'dp')],
    ...[post(22, 'dp-2'), post(21, 'dp-2')],
  ])
  for (const outcome of outcomes) expect(outcome).toMatchObject(counted(1))
  const made = (await readRegistrations(one.database.owner)).slice(before)
  expect(made).toEqual([
    { source: 'register:dp', rows: { api_keys: [row(20), row(21)] } },
    { source: 'register:dp-2', rows: { api_keys: [row(22)] } },
  ])
})

test('known keys are not registered again, through either instance', async () => {
  const before = await countRegistered(one.database.owner)
  await other.change({ api_keys: [row(30), row(31, 'sk-31')] })
  expect(await one.append(flushOf({ id: 30 }, { name: 'sk-31' }))).toMatchObject(counted(2))
  expect(await other.append(flushOf({ id: 10 }, { name: 'sk-1' }))).toMatchObject(counted(2, 1))
  expect(await countRegistered(one.database.owner)).toBe(before)
})

test('a key that two instances register at once is registered once, by one name', async () => {
  const before = await countRegistered(one.database.owner)
  const names = Array.from({ length: 40 }, (_, i) => `both-${i}`)
  const outcomes = await Promise.all(
    names.flatMap((name, i) => [
      one.append(flushOf({ name }), { key: `one-${i}` }),
      other.append(flushOf({ name }), { key: `other-${i}` }),
    ]),
  )
  for (const outcome of outcomes) expect(outcome).toMatchObject(counted(1))
  expect(await countRegistered(one.database.owner)).toBe(before + names.length)
  const rows = (await readRegistrations(one.database.owner)).flatMap((made) => made.rows)
  const ids = rows.flatMap(({ api_keys = [] }) => api_keys.map(({ id }) => id))
  expect(new Set(ids).size).toBe(ids.length)
})

test('a key that was retired stays unknown, whichever instance retired it', async () => {
  await one.append(flushOf({ id: 40 }, { name: 'sk-40', id: 41 }))
  await one.append(keyFlushOf({ hash: 'token-40' }))
  const keys = [{ token_hash: 'token-40', quota_limit: -1, name: null }]
  await other.change({}, { api_keys: [row(40), row(41, 'sk-40')], keys })
  const before = await countRegistered(one.database.owner)
  for (const log of [one, other]) {
    expect(await log.append(flushOf({ id: 40 }, { id: 41 }, { name: 'sk-40' }))).toMatchObject(
      counted(0),
    )
    expect(await log.append(keyFlushOf({ hash: 'token-40' }))).toMatchObject({
      kind: 'appended',
      answer: { updated: 0 },
    })
  }
  expect(await countRegistered(one.database.owner)).toBe(before)
})

test('a flush that names two keys is refused, and registers nothing', async () => {
  const before = await countRegistered(one.database.owner)
  const outcomes = await Promise.all([
    one.append(flushOf({ id: 500 }, { id: 10, name: 'sk-1' }), { key: 'two-1' }),
    one.append(flushOf({ id: 501 }), { key: 'two-2' }),
  ])
  expect(outcomes).toMatchObject([{ kind: 'names_two_keys', place: 1 }, counted(1)])
  expect(await countRegistered(one.database.owner)).toBe(before + 1)
})

test('a name that the catalog can not have counts nothing and is recorded', async () => {
  const before = await countRegistered(one.database.owner)
  const name = 'x'.repeat(256)
  const outcome = await one.append(flushOf({ name }, { id: 10 }))
  expect(outcome).toMatchObject(counted(1, 1))
  expect((await readPayload(positionOfOutcome(outcome))).names).toEqual([name])
  expect(await countRegistered(one.database.owner)).toBe(before)
})
