import { expect, test } from 'bun:test'
import { isNewer, mergeByTime } from '../../src/events/merge-by-time.ts'

const items = (shard: number, ...times: string[]) =>
  times.map((recordedAt) => ({ shard, recordedAt }))
const places = (merged: { shard: number; recordedAt: string }[]) =>
  merged.map(({ shard, recordedAt }) => `${shard}/${recordedAt}`)

test('items of equal times come by shard, and backwards by shard from the last', () => {
  const read = [
    { items: items(0, '1', '3'), ends: true },
    { items: items(1, '2', '3'), ends: true },
  ]
  expect(places(mergeByTime(read, 10))).toEqual(['0/1', '1/2', '0/3', '1/3'])
  const backwards = read.map(({ items: own, ends }) => ({ items: own.toReversed(), ends }))
  expect(places(mergeByTime(backwards, 10, isNewer))).toEqual(['1/3', '0/3', '1/2', '0/1'])
})

test('merging stops at the limit, and where a shard has more in the log', () => {
  const read = [
    { items: items(0, '1', '4'), ends: true },
    { items: items(1, '2'), ends: false },
  ]
  expect(places(mergeByTime(read, 1))).toEqual(['0/1'])
  expect(places(mergeByTime(read, 10))).toEqual(['0/1', '1/2'])
  expect(mergeByTime([{ items: [], ends: false }, read[0]!], 10)).toEqual([])
})
