import { expect, test } from 'bun:test'
import { UsedSums } from '../../src/bookkeeping/adoption/used.ts'

// What an adoption takes of a name in a quarter hour: a row for what had no dimensions, and one for
// each combination.

const at = '2026-01-31T12:20:00.000000+00:00'
const entry = (combination: string | null, requests: number, cost = 0) => ({
  ...{ requests, seconds: 0, accessed: 0, combination, i: 0 },
  measures: { measures: cost === 0 ? [] : [{ number: 1, values: [cost] }] },
})

const rowsOf = (sums: UsedSums) =>
  sums.toRows().map(({ combination, requests, measures, flushes }) => {
    return [combination, requests, measures, flushes]
  })

test('a flush is counted in the first row', () => {
  const sums = new UsedSums()
  sums.add('7', { position: 0, at }, entry('{}', 2, 5))
  sums.add('7', { position: 0, at }, entry('{"a":"b"}', 3))
  sums.add('7', { position: 1, at }, entry('{}', 1, 4))
  expect(rowsOf(sums)).toEqual([
    ['{}', 3, [0, 9], 2],
    ['{"a":"b"}', 3, [], 0],
  ])
  sums.add('7', { position: 2, at }, entry(null, 4))
  expect(rowsOf(sums)[0]).toEqual([null, 4, [], 3])
  expect(sums.size).toBe(3)
})

test('a sum too large for one row has several', () => {
  const sums = new UsedSums()
  const max = Number.MAX_SAFE_INTEGER
  for (let position = 0; position < 3; position++) {
    sums.add('7', { position, at }, entry('{}', max, position === 0 ? max : 1))
  }
  expect(rowsOf(sums)).toEqual([
    ['{}', max, [0, max], 3],
    ['{}', max, [0, 2], 0],
    ['{}', max, [0, 0], 0],
  ])
})

test('what an act took is in no row', () => {
  const sums = new UsedSums()
  const named = { name: '7', time: at }
  sums.addSums({ ...named, accessed: 0 }, [5, 5, 1])
  sums.addPart(named, '{}', { requests: 7, seconds: 7, measures: [1n, 2] })
  sums.addPart(named, '{}', { requests: -7, seconds: -7, measures: [-1n, -2] })
  sums.addPart({ ...named, name: '8' }, '{}', { requests: 1, seconds: 1, measures: [] })
  expect(rowsOf(sums)).toEqual([[null, 5, [], 1]])
})
