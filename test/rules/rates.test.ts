import { expect, test } from 'bun:test'
import { toCount } from '../../src/rules/decide.ts'
import { startOfWindow, stateOfRate } from '../../src/rules/rates.ts'

const at = (time: string) => Date.parse(`2026-01-31T${time}Z`)

test.each([
  ['12:00:00.000', 15, '11:45:00.000'],
  ['12:00:59.999', 15, '11:45:00.000'],
  ['12:00:30.000', 1, '11:59:00.000'],
  ['12:04:59.999', 60, '11:00:00.000'],
  ['12:05:00.000', 60, '11:05:00.000'],
])('at %s, the window of %i minutes began at %s', (now, minutes, start) => {
  expect(startOfWindow(at(now), minutes)).toBe(`2026-01-31T${start}Z`)
})

test.each([
  [0, 0, 'clear'],
  [1, 0, 'unsure'],
  [9, 9, 'unsure'],
  [10, 8, 'crossed'],
  [10, 9, 'clear'],
  [1_000, 899, 'crossed'],
] as const)('of %i requests, %i successes: %s', (requests, success_requests, state) => {
  const value = { requests, success_requests }
  expect(stateOfRate({ below: 0.9, min_requests: 10 }, value)).toBe(state)
})

test.each([
  [-1n, 0],
  [3.9, 3],
  [2n ** 60n, Number.MAX_SAFE_INTEGER],
])('%p is recorded as %i', (amount, count) => {
  expect(toCount(amount)).toBe(count)
})
