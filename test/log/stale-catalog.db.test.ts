import { expect, test } from 'bun:test'
import { type TestLog, useLogs } from '../support/log.ts'

// Invariant 4: an event records how it was attributed when it was appended. An acknowledged catalog
// change applies to every later flush, on every instance.

const [one, other] = useLogs(2) as [TestLog, TestLog]

const key = (id: number, group_id: number) => ({ id, group_id, name: null })
const group = (id: number) => ({ id, name: null })
const counted = (updated: number, groups_updated: number) => ({
  kind: 'appended',
  answer: { updated, groups_updated },
})

/** Reads the requests that the log counts for a group. */
async function groupTotal(id: number): Promise<number> {
  const rows = await one.database.owner<{ payload: string }[]>`
    select payload::text as payload from events where type = 'ApiKeyStatsFlushed'`
  const flushes = rows.map(({ payload }) => JSON.parse(payload))
  // Each flush here has one entry.
  return flushes
    .filter(({ groups }) => groups[0] === id)
    .reduce((sum, { requests }) => sum + requests[0], 0)
}

test('a key created through one instance counts in the next flush through the other', async () => {
  expect(await one.flush(1, 1)).toMatchObject(counted(0, 0))
  await other.change({ provider_groups: [group(1)], api_keys: [key(1, 1)] })
  expect(await one.flush(1, 1)).toMatchObject(counted(1, 1))
})

test('a key moved to another group through one instance changes no past counts', async () => {
  const before = await groupTotal(1)
  await other.change({ provider_groups: [group(2)], api_keys: [key(1, 2)] })
  expect(await one.flush(1, 1)).toMatchObject(counted(1, 1))
  expect(await groupTotal(1)).toBe(before)
  expect(await groupTotal(2)).toBe(1)
})

test('a quota lifted through one instance is not used through the other', async () => {
  const entries = {
    ...{ hashes: ['q'], requests: [1], tokens: [10] },
    ...{ last_accessed_at: [0] },
  }
  const limit = (quota_limit: number) =>
    other.change({ keys: [{ token_hash: 'q', quota_limit, name: null }] })
  await limit(100)
  await one.append({ type: 'KeyStatsFlushed', entries })
  await limit(-1)
  await one.append({ type: 'KeyStatsFlushed', entries })
  const rows = await one.database.owner`
    select payload->'quota_tracked' as tracked from events where type = 'KeyStatsFlushed'
    order by recorded_at`
  expect(rows.map(({ tracked }) => tracked)).toEqual([[true], [false]])
})

test('a key retired through one instance no longer counts through the other', async () => {
  await other.change({}, { api_keys: [key(1, 2)] })
  expect(await one.flush(1, 1)).toMatchObject(counted(0, 0))
})

test('no flush uses an old catalog while both instances change it', async () => {
  const ids = Array.from({ length: 20 }, (_, i) => 1_000 + i)
  await Promise.all(
    ids.map(async (id) => {
      const [here, there] = id % 2 === 0 ? [one, other] : [other, one]
      await here.change({ api_keys: [key(id, 2)] })
      expect(await there.flush(id, 1)).toMatchObject(counted(1, 1))
    }),
  )
})

test('concurrent changes through both instances are all applied', async () => {
  const ids = Array.from({ length: 20 }, (_, i) => 2_000 + i)
  await Promise.all(
    ids.map((id) => (id % 2 === 0 ? one : other).change({ api_keys: [key(id, 1)] })),
  )
  for (const log of [one, other]) {
    const requests = ids.map(() => 1)
    const entries = { ids, requests, successes: requests }
    const outcome = await log.append({ type: 'ApiKeyStatsFlushed', entries })
    expect(outcome).toMatchObject(counted(ids.length, 1))
  }
})
