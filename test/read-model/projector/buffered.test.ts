import { expect, test } from 'bun:test'
import { BufferedBatches } from '../../../src/read-model/projector/buffered.ts'

/** Returns a commit at a position, whose one event posts to this many keys. */
function commitAt(firstPosition: number, keys: number) {
  const column = new Array<number>(keys).fill(1)
  const postings = [
    {
      ...{ kind: 'api_key' as const, accounts: column, sums: [column, column], maxima: [] },
      ...{ start: 0, end: keys },
    },
  ]
  const content = { postings, change: null, act: null, unknown: [] }
  const recordedAt = '2026-01-31T12:00:00.000000+00:00'
  const entries = [{ ...content, position: firstPosition, recordedAt }]
  return { firstPosition, recordedAt, entries, payloadSha256s: [''], previous: null }
}

/** Buffers 100 commits from position 1 on, and returns where those that are left begin. */
function firstLeft(keys: number): number {
  const buffered = new BufferedBatches()
  for (let position = 1; position <= 100; position++) buffered.add(commitAt(position, keys))
  expect(buffered.missingThrough).toBe(101 - buffered.length - 1)
  return buffered.take()[0]!.firstPosition
}

test('the newest 64 commits wait, of large ones 200,000 postings, and 8 of any size', () => {
  expect(firstLeft(100)).toBe(37)
  expect(firstLeft(10_000)).toBe(81)
  expect(firstLeft(50_000)).toBe(93)
})

test('commits are taken in the order of the log, once', () => {
  const buffered = new BufferedBatches()
  for (const position of [7, 5, 6]) buffered.add(commitAt(position, 1))
  expect(buffered.missingThrough).toBe(4)
  expect(buffered.take().map(({ firstPosition }) => firstPosition)).toEqual([5, 6, 7])
  expect(buffered.length).toBe(0)
  expect(buffered.missingThrough).toBe(Number.MAX_SAFE_INTEGER)
})
