import { beforeAll, describe, expect, test } from 'bun:test'
import { shardOfKey } from '../../src/events/shard-of-key.ts'
import type { AppendOutcome } from '../../src/log/queue.ts'
import { type CountedEntry, detailedFlush, distinct, readCounted } from '../support/dimensions.ts'
import { insertEvent } from '../support/events.ts'
import { positionOfOutcome, startTestLog, type TestLog, useLogs } from '../support/log.ts'
import { TEST_SHARDS } from '../support/server.ts'
import { until } from '../support/until.ts'

// The number of values of a dimension, and of combinations of an account, that a shard counts on a
// day. What is beyond is counted as `other`.

const LIMITS = { dimensionValues: 20, combinations: 30 }

const [one, other] = useLogs(2, { limits: LIMITS }) as [TestLog, TestLog]
const owner = () => one.database.owner

const NAMES = [...'abcdefgh']

beforeAll(async () => {
  await one.change({
    dimensions: NAMES.map((name) => ({ name })),
    measures: [{ name: 'tokens', number: 0 }],
    provider_groups: [
      { id: 1, name: null },
      { id: 2, name: null },
    ],
    api_keys: Array.from({ length: 200 }, (_, i) => ({
      ...{ id: i + 1, group_id: i < 100 ? 0 : 1, name: null },
    })),
    keys: [{ token_hash: 'key-1', quota_limit: -1, name: null }],
  })
})

const list = (length: number, name: string) => Array.from({ length }, (_, i) => `${name}-${i}`)

/** Returns a new idempotency key of a shard. */
function keyFor(shard: number): string {
  for (;;) {
    const key = crypto.randomUUID()
    if (shardOfKey('dp', key, TEST_SHARDS) === shard) return key
  }
}

const isCounted = ({ posted, counted }: CountedEntry) =>
  JSON.stringify(posted) === JSON.stringify(counted)

/** Returns the entries with a dimension, by shard. */
async function readWith(dimension: string): Promise<CountedEntry[][]> {
  const entries = (await readCounted(owner())).filter(({ posted }) => dimension in posted)
  return Array.from({ length: TEST_SHARDS }, (_, shard) =>
    entries.filter((entry) => entry.shard === shard),
  )
}

test('two instances that count new values at once stop together at exactly the limit', async () => {
  const posts = [one, other].flatMap((log, i) =>
    list(60 * TEST_SHARDS, `v${i % 2}`).flatMap((value) => [
      log.append(detailedFlush({ id: 1, dimensions: { a: value } })),
      log.append(detailedFlush({ hash: 'key-1', dimensions: { a: value } })),
    ]),
  )
  const outcomes = await Promise.all(posts)
  expect(distinct(outcomes.map(({ kind }) => kind))).toEqual(['"appended"'])
  for (const entries of await readWith('a')) {
    const counted = entries.filter(isCounted)
    expect(distinct(counted.map(({ posted }) => posted))).toHaveLength(LIMITS.dimensionValues)
    const others = entries.filter((entry) => !isCounted(entry))
    expect(others.length).toBeGreaterThan(0)
    expect(distinct(others.map((entry) => entry.counted))).toEqual(['{"a":"other"}'])
    // A value is counted in one way only.
    const values = distinct(counted.map(({ posted }) => posted))
    expect(others.filter(({ posted }) => values.includes(JSON.stringify(posted)))).toEqual([])
  }
  const all = (await readWith('a')).flat().filter((entry) => !isCounted(entry))
  expect(one.others() + other.others()).toBe(all.length)
})

describe('within one flush', () => {
  test('values beyond the limit are `other`, and those of another dimension are not', async () => {
    const entries = list(LIMITS.dimensionValues + 5, 'x').map((b) => ({
      ...{ id: 2, dimensions: { b, c: 'same' } },
    }))
    await one.append(detailedFlush(...entries, ...entries))
    const counted = (await readWith('b')).flat().map((entry) => entry.counted)
    expect(counted).toHaveLength(2 * entries.length)
    expect(counted.filter(({ b }) => b === 'other')).toHaveLength(10)
    expect(distinct(counted)).toHaveLength(LIMITS.dimensionValues + 1)
    expect(distinct(counted.map(({ c }) => c))).toEqual(['"same"'])
  })

  test('all values of a combination that its account does not accept are `other`', async () => {
    // 36 combinations of 6 values each; one is only in the second dimension.
    const entries = list(6, 'd').flatMap((d) =>
      list(6, 'e').map((e) => ({ id: 3, dimensions: { d, e } })),
    )
    await one.append(
      detailedFlush({ id: 3, dimensions: { e: 'e-0' } }, ...entries, ...entries, {
        ...{ id: 4, dimensions: entries.at(-1)!.dimensions },
      }),
    )
    const read = (await readWith('e')).flat()
    const ofThree = read.filter(({ key }) => key === 3)
    expect(distinct(ofThree.filter(isCounted).map(({ posted }) => posted))).toHaveLength(
      LIMITS.combinations,
    )
    const others = ofThree.filter((entry) => !isCounted(entry))
    expect(others).toHaveLength(2 * 7)
    expect(distinct(others.map(({ counted }) => counted))).toEqual(['{"d":"other","e":"other"}'])
    // Another account accepts the same combination.
    expect(read.filter(({ key }) => key === 4).every(isCounted)).toBe(true)
  })

  test('a provider group that is full refuses combinations of all its keys', async () => {
    const entries = list(LIMITS.dimensionValues, 'f').flatMap((f, i) =>
      ['g-0', 'g-1'].map((g) => ({ id: 101 + i, dimensions: { f, g } })),
    )
    await one.append(detailedFlush(...entries))
    const read = (await readWith('g')).flat()
    expect(read.filter(isCounted)).toHaveLength(LIMITS.combinations)
    const rows = await owner()<{ name: string }[]>`
      select distinct name from accepted_values where kind = 'api_key' and name::integer > 100`
    // Keys whose combinations the group refuses accept none.
    expect(rows).toHaveLength(LIMITS.combinations / 2)
  })
})

test('entries without values, and those for unknown keys, take no place', async () => {
  const flush = detailedFlush(
    { id: 5, measures: { tokens: 1 } },
    { id: 777, dimensions: { h: 'of an unknown key' } },
    { hash: '', dimensions: { h: 'skipped' } },
  )
  const places = () => owner()`
    select * from accepted_values where name in ('h', '5', '777')`
  await one.append(flush)
  await one.append(detailedFlush({ hash: 'unknown', dimensions: { h: 'of an unknown key' } }))
  expect(await places()).toHaveLength(0)
  await one.append(detailedFlush({ id: 5, dimensions: { h: 'known' } }))
  expect(await places()).toHaveLength(2)
})

test('a replay takes no place, and is answered by the event as it was counted', async () => {
  const key = keyFor(0)
  const values = list(LIMITS.dimensionValues + 1, 'retried')
  const flush = () => detailedFlush(...values.map((h) => ({ id: 6, dimensions: { h } })))
  const first = await one.append(flush(), { key })
  const before = await owner()`select * from accepted_values order by shard, day, name, value`
  for (const log of [one, other, await startTestLog(one.database)]) {
    const again = await log.append(flush(), { key })
    expect(again).toMatchObject({ kind: 'appended', replayed: true })
    expect(positionOfOutcome(again)).toBe(positionOfOutcome(first))
    if (log !== one && log !== other) await log.stop()
  }
  const changed = detailedFlush(...values.map((h) => ({ id: 6, dimensions: { h: `${h}!` } })))
  expect(await other.append(changed, { key })).toEqual({ kind: 'key_reused' })
  expect(await owner()`select * from accepted_values order by shard, day, name, value`).toEqual(
    before,
  )
})

test('the limits count what was accepted before a restart', async () => {
  const before = (await readWith('a')).map((entries) => entries.length)
  const restarted = await startTestLog(one.database, { limits: LIMITS })
  try {
    const posts = list(5 * TEST_SHARDS, 'late').map((a) =>
      restarted.append(detailedFlush({ id: 7, dimensions: { a } })),
    )
    await Promise.all(posts)
    const added = (await readWith('a')).flatMap((entries, i) => entries.slice(before[i]))
    expect(added).toHaveLength(posts.length)
    expect(added.filter(isCounted)).toEqual([])
  } finally {
    await restarted.stop()
  }
})

test('flushes with nothing new, and plain ones, read and write no row of these tables', async () => {
  const known = detailedFlush({ id: 8, dimensions: { c: 'same' }, measures: { tokens: 2 } })
  const onAllShards = (post: () => Promise<AppendOutcome>) =>
    Promise.all(Array.from({ length: 40 * TEST_SHARDS }, post))
  await onAllShards(() => one.append(known))
  const connection = await owner().reserve()
  await connection`begin`
  await connection`
    lock table accepted_days, accepted_values, accepted_counts in access exclusive mode`
  try {
    const outcomes = await onAllShards(() => one.append(known))
    outcomes.push(await one.flush(8, 1))
    // It is full.
    outcomes.push(await one.append(detailedFlush({ id: 8, dimensions: { a: 'x' } })))
    expect(distinct(outcomes.map(({ kind }) => kind))).toEqual(['"appended"'])
  } finally {
    await connection`rollback`
    connection.release()
  }
})

test('on the next day everything is accepted anew, and the rows of the day are deleted', async () => {
  const days = () => owner()`
    select a.day from accepted_days a
    union
    select a.day from accepted_counts a
    union
    select a.day from accepted_values a`
  expect(await days()).toHaveLength(1)
  // Everything that is appended now is recorded on that day.
  const recordedAt = new Date(Date.now() + 2 * 86_400_000).toISOString()
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    await insertEvent(owner(), { shard, recordedAt })
    // This instance learns of the day by its own flush.
    await one.append(detailedFlush({ id: 999 }), { key: keyFor(shard) })
  }
  const before = (await readWith('a')).map((entries) => entries.length)
  const values = list(LIMITS.dimensionValues + 1, 'tomorrow')
  const flush = detailedFlush(...values.map((a) => ({ id: 9, dimensions: { a } })))
  for (let shard = 0; shard < TEST_SHARDS; shard++) {
    await one.append(flush, { key: keyFor(shard) })
  }
  const added = (await readWith('a')).flatMap((entries, i) => entries.slice(before[i]))
  expect(added).toHaveLength(TEST_SHARDS * values.length)
  await until(async () => (await days()).length === 1)
})
