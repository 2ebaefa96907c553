import { beforeAll, expect, test } from 'bun:test'
import type { AppendOutcome } from '../../src/log/queue.ts'
import { countFlushes } from '../support/events.ts'
import { positionOfOutcome, startTestLog, type TestLog, useLogs } from '../support/log.ts'

// Invariant 1: a retry with its idempotency key gets the first attempt's answer, and counts once.

const [one, other] = useLogs(2) as [TestLog, TestLog]

beforeAll(() =>
  one.change({
    provider_groups: [{ id: 1, name: null }],
    api_keys: [1, 2, 4].map((id) => ({ id, group_id: 1, name: null })),
  }),
)

const replayOf = (first: AppendOutcome) => ({ ...first, replayed: true }) as AppendOutcome
const isReplayed = (outcome: AppendOutcome) => outcome.kind === 'appended' && outcome.replayed
const stored = () => countFlushes(one.database.owner)

test('a key belongs to a token name, and is free under another name', async () => {
  const a = await one.flush(1, 1, { source: 'east', key: 'scoped' })
  const b = await one.flush(1, 1, { source: 'west', key: 'scoped' })
  const again = await one.flush(1, 1, { source: 'east', key: 'scoped' })
  expect(a).toMatchObject({ kind: 'appended', replayed: false })
  expect(b).toMatchObject({ kind: 'appended', replayed: false })
  expect(again).toEqual(replayOf(a))
})

test('every flush without a key counts', async () => {
  const before = await stored()
  const outcomes = await Promise.all([1, 2, 3].map(() => one.flush(2, 1)))
  expect(new Set(outcomes.map(positionOfOutcome)).size).toBe(3)
  expect(await stored()).toBe(before + 3)
})

test.each([
  ['one', [one, one]],
  ['two', [one, other]],
])('concurrent attempts count once, through %s', async (_, instances) => {
  const before = await stored()
  const keys = Array.from({ length: 15 }, () => crypto.randomUUID())
  const tries = keys.map(async (key) => {
    const outcomes = await Promise.all(
      [...instances, ...instances].map((instance) => instance.flush(1, 1, { key })),
    )
    const [first, ...others] = outcomes.filter((outcome) => !isReplayed(outcome))
    expect(others).toEqual([])
    expect(outcomes.map(replayOf)).toEqual(outcomes.map(() => replayOf(first!)))
  })
  await Promise.all(tries)
  expect(await stored()).toBe(before + keys.length)
})

test('two concurrent attempts with different entries: one counts, one is refused', async () => {
  const before = await stored()
  const outcomes = await Promise.all([1, 2].map((n) => one.flush(1, n, { key: 'at-once' })))
  expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['appended', 'key_reused'])
  expect(await stored()).toBe(before + 1)
})

test('concurrent retries get the first answer, whatever the catalog contains now', async () => {
  const first = await one.flush(4, 3, { key: 'ended' })
  expect(first).toMatchObject({ answer: { updated: 1, groups_updated: 1 } })
  await one.change({}, { api_keys: [{ id: 4, group_id: 1, name: null }] })
  const retries = await Promise.all(
    Array.from({ length: 8 }, () => one.flush(4, 3, { key: 'ended' })),
  )
  for (const retry of retries) expect(retry).toEqual(replayOf(first))
})

test('a retry concurrent with attempts with different entries is still replayed', async () => {
  const flush = (requests: number) => one.flush(1, requests, { key: 'mixed' })
  const first = await flush(3)
  const reused = { kind: 'key_reused' } as const
  const outcomes = await Promise.all([4, 3, 4, 3, 3].map(flush))
  const replayed = replayOf(first)
  expect(outcomes).toEqual([reused, replayed, reused, replayed, replayed])
})

test('a retry through an instance that starts later gets the first answer', async () => {
  const first = await one.flush(1, 2, { key: 'later' })
  await one.change({ api_keys: [{ id: 1, group_id: 0, name: null }] })
  const later = await startTestLog(one.database)
  expect(await later.flush(1, 2, { key: 'later' })).toEqual(replayOf(first))
  await later.stop()
})
