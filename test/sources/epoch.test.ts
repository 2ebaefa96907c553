import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { arrive, beginAt, type Epoch, MAX_RANGES } from '../../src/sources/epoch.ts'
import { parametersOf, runsOf } from '../property/runs.ts'

// What is missing of an epoch.

const runs = runsOf(300)

const arriveAll = (ranges: readonly (readonly [number, number])[], from = beginAt(0)): Epoch =>
  ranges.reduce((epoch, [first, last]) => arrive(epoch, { first, last }), from)
const numbers = (...all: number[]) => all.map((number) => [number, number] as const)

test('numbers that were skipped are missing, until they arrive', () => {
  const epoch = arriveAll([...numbers(0, 1, 2, 5, 6), [9, 9]])
  expect(epoch).toEqual({
    next: 10,
    missing: [
      [3, 4],
      [7, 8],
    ],
  })
  expect(arriveAll(numbers(7), epoch).missing).toEqual([
    [3, 4],
    [8, 8],
  ])
  expect(arriveAll(numbers(3, 4, 8, 7), epoch)).toEqual({ next: 10, missing: [] })
  expect(arriveAll([[2, 8]], epoch)).toEqual({ next: 10, missing: [] })
  expect(arriveAll(numbers(2), beginAt(0)).missing).toEqual([[0, 1]])
})

test(`what is missing is what did not arrive, in any order and again, in ${runs} runs`, () => {
  const range = fc
    .tuple(fc.nat(60), fc.nat(6))
    .map(([first, more]) => [first, first + more] as const)
  fc.assert(
    fc.property(fc.array(range, { minLength: 1, maxLength: 30 }), fc.boolean(), (ranges, twice) => {
      const epoch = arriveAll(twice ? [...ranges, ...ranges] : ranges)
      const next = Math.max(...ranges.map(([, last]) => last)) + 1
      const isThere = (n: number) => ranges.some(([first, last]) => first <= n && n <= last)
      const missing = Array.from({ length: next }, (_, n) => n).filter((n) => !isThere(n))
      expect(epoch.next).toBe(next)
      const listed = epoch.missing.flatMap(([first, last]) =>
        Array.from({ length: last - first + 1 }, (_, i) => first + i),
      )
      expect(listed).toEqual(missing)
      // Ranges are as long as they can be.
      for (const [i, [first]] of epoch.missing.entries()) {
        if (i > 0) expect(first).toBeGreaterThan(epoch.missing[i - 1]![1] + 1)
      }
    }),
    parametersOf(runs),
  )
})

test('the lowest ranges are forgotten', () => {
  const odd = Array.from({ length: MAX_RANGES + 5 }, (_, i) => 2 * i + 1)
  const { missing } = arriveAll(numbers(...odd))
  expect(missing).toHaveLength(MAX_RANGES)
  expect(missing[0]).toEqual([10, 10])
})

test('a jump of more than a million begins anew', () => {
  const million = arriveAll(numbers(0, 1_000_001))
  expect(million.missing).toEqual([[1, 1_000_000]])
  expect(arriveAll(numbers(0, 5, 1_000_007))).toEqual({ next: 1_000_008, missing: [] })
  // A range without a jump is no jump.
  expect(arriveAll([[0, 5_000_000]])).toEqual({ next: 5_000_001, missing: [] })
  // Numbers from before are late, not a jump back.
  expect(arriveAll(numbers(5_000_000, 3))).toEqual({ next: 5_000_001, missing: [] })
})
