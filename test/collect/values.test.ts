import { expect, test } from 'bun:test'
import {
  dollarsToMicros,
  toCount,
  toName,
  toStatus,
  toUnixSeconds,
  toValue,
} from '../../src/collect/values.ts'

test.each([
  [12, 12],
  ['12', 12],
  ['1.5e1', 15],
  [12.4, 12],
  [-1, null],
  ['', null],
  ['12a', null],
  ['0x10', null],
  [Number.NaN, null],
  [2 ** 53, null],
  [true, null],
  [{}, null],
])('the count of %p is %p', (value, count) => {
  expect(toCount(value)).toBe(count)
})

test.each([
  [0.0123345, 12335],
  ['0.0000004', 0],
  [1.005, 1_005_000],
  [0.1 + 0.2, 300_000],
  [-0.1, null],
  [null, null],
])('%p dollars are %p micros', (value, micros) => {
  expect(dollarsToMicros(value)).toBe(micros)
})

test.each([
  [1766000068, 1766000068],
  [1766000068.9, 1766000068],
  ['1766000068.284', 1766000068],
  [1766000068284, 1766000068],
  [1766000068284660, 1766000068],
  ['1766000068284660000', 1766000068],
  ['2025-12-17T19:34:28.284Z', 1766000068],
  ['2025-12-17T20:34:28+01:00', 1766000068],
  ['yesterday', null],
  [0, null],
  [undefined, null],
])('the time of %p is %p', (value, seconds) => {
  expect(toUnixSeconds(value)).toBe(seconds)
})

test.each([
  [200, '2xx'],
  ['204', '2xx'],
  [429, '429'],
  [404, '4xx'],
  ['503', '5xx'],
  ['success', '2xx'],
  ['OK', '2xx'],
  ['Timeout', 'timeout'],
  [0, '0'],
  [null, null],
])('the status of %p is %p', (value, status) => {
  expect(toStatus(value)).toBe(status)
})

test('texts are such that the service accepts them', () => {
  expect(toValue(' a\0b ')).toBe('ab')
  expect(toValue('other')).toBe('Other')
  expect(toValue(`${'x'.repeat(63)}😀`)).toHaveLength(64)
  expect(toValue(`${'x'.repeat(63)}😀`)!.isWellFormed()).toBe(true)
  expect(toName('n'.repeat(300))).toHaveLength(255)
  for (const empty of [' ', '\0', null, undefined, {}, []]) expect(toValue(empty)).toBeNull()
})
