import { expect, test } from 'bun:test'
import { fit } from '../../bench/plan/fit.ts'

test('a fit finds the coefficients that the values were made from', () => {
  const features = [
    [1, 1, 1],
    [0.1, 1, 10],
    [0.02, 1, 100],
    [1, 1, 1_000],
    [0.5, 1, 7],
  ]
  const values = features.map(([commit, flush, key]) => 200 * commit! + 30 * flush! + 0.4 * key!)
  const found = fit(features, values)
  for (const [i, expected] of [200, 30, 0.4].entries()) expect(found[i]).toBeCloseTo(expected, 6)
})

test('no coefficient is negative, and the others are fitted without it', () => {
  const features = [
    [1, 1],
    [1, 2],
    [1, 3],
  ]
  // A line of slope -1 would fit exactly.
  const [constant, slope] = fit(features, [10, 9, 8])
  expect(slope).toBe(0)
  expect(constant).toBeGreaterThan(8)
  expect(constant).toBeLessThan(10)
})

test('a column that repeats another one or is all zero gives finite coefficients', () => {
  const doubled = fit(
    [
      [1, 1, 0],
      [2, 2, 0],
    ],
    [3, 6],
  )
  expect(doubled.every(Number.isFinite)).toBe(true)
  expect(doubled[0]! + doubled[1]!).toBeCloseTo(3, 6)
})

test('errors count in per cent: small values fit as well as large ones', () => {
  const features = [
    [1, 1],
    [1, 1_000],
    [1, 1_000_000],
  ] // prettier-ignore
  const found = fit(features, [11, 1_010, 1_000_010])
  expect(found[0]! + found[1]!).toBeCloseTo(11, 3)
})
