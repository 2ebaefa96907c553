import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { isSettled, judge } from '../../src/move-in/compare/judge.ts'
import { FIELDS, type Reading } from '../../src/move-in/compare/readings.ts'

const reading = (requests: bigint): Reading => new Map([['api_keys 7', { requests }]])

function judgeOne(before: bigint, old: bigint, now: bigint, tolerance = 0n) {
  const attempt = { before: reading(before), old: reading(old), now: reading(now) }
  return judge(attempt, reading(1n), { tolerance, fields: FIELDS })[0]!
}

test('an amount is equal if the service had it before and after, within the tolerance', () => {
  expect(judgeOne(5n, 5n, 5n).verdict).toBe('equal')
  expect(judgeOne(5n, 6n, 6n).verdict).toBe('moving')
  expect(judgeOne(5n, 5n, 6n).verdict).toBe('moving')
  expect(judgeOne(5n, 7n, 6n).verdict).toBe('different')
  expect(judgeOne(5n, 4n, 6n).verdict).toBe('different')
  expect(judgeOne(5n, 7n, 6n, 2n).verdict).toBe('equal')
  expect(judgeOne(5n, 7n, 6n, 1n).verdict).toBe('moving')
})

test('equal says that no difference beyond the tolerance is possible', () => {
  const small = fc.bigInt({ min: 0n, max: 50n })
  fc.assert(
    fc.property(small, small, small, small, (start, grown, lost, tolerance) => {
      const [before, now] = [start, start + grown]
      const at = before + grown / 2n
      const { verdict } = judgeOne(before, at + lost, now, tolerance)
      if (verdict === 'equal') expect(lost <= tolerance).toBe(true)
      if (verdict === 'different') expect(lost > tolerance).toBe(true)
    }),
  )
})

test('differences are settled if neither system has changed since the last attempt', () => {
  const line = judgeOne(5n, 9n, 5n)
  expect(isSettled([], [])).toBe(true)
  expect(isSettled([], [line])).toBe(false)
  expect(isSettled([line], [line])).toBe(true)
  expect(isSettled([line], [judgeOne(5n, 10n, 5n)])).toBe(false)
  expect(isSettled([judgeOne(5n, 6n, 7n)], [judgeOne(5n, 6n, 7n)])).toBe(false)
})

test('only the fields that are asked for are compared', () => {
  const both: Reading = new Map([['keys a', { requests: 1n, tokens: 2n, quota_used: 3n }]])
  const attempt = { before: new Map(), old: both, now: new Map() }
  const lines = judge(attempt, new Map(), { tolerance: 0n, fields: ['tokens'] })
  expect(lines.map(({ field, old, now, moved }) => [field, old, now, moved])).toEqual([
    ['tokens', 2n, 0n, null],
  ])
})
