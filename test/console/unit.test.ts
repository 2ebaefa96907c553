import { describe, expect, test } from 'bun:test'
import { readUnit } from '../../src/console/page/unit.ts'

// Numbers of measures with the units that the catalog declares, in English.

const HUGE = 123_456_789_012_345_678_901_234_567_890n

describe('a number in its unit', () => {
  test.each([
    [null, 1_234, '1,234'],
    [null, HUGE, '123,456,789,012,345,678,901,234,567,890'],
    ['tokens', 1_234, '1,234 tokens'],
    ['USD', 1_234, '$1,234'],
    ['USD/1e6', 0, '$0.000000'],
    ['USD/1e6', 1, '$0.000001'],
    ['USD/1e6', 12_345_678, '$12.345678'],
    ['USD/1e6', -12_345_678, '-$12.345678'],
    ['USD/1000000', 1_234_000_000, '$1,234.000000'],
    ['EUR / 1e2', 5, '€0.05'],
    ['USD/1e6', HUGE, '$123,456,789,012,345,678,901,234.567890'],
    ['s/1e3', 1_500, '1.500 s'],
    ['requests/s', 3, '3 requests/s'],
    ['MB/1024', 3, '3 MB/1024'],
  ])('of %p: %p is %p', (unit, value, expected) => {
    expect(readUnit(unit).format(value)).toBe(expected)
  })

  test.each([
    [null, 1_234, '1.2K'],
    ['USD/1e6', 1_234_567_890, '$1.23K'],
    ['USD/1e6', 500, '$0.0005'],
    ['s/1e3', 1_500, '1.5 s'],
  ])('of %p on an axis: %p is %p', (unit, value, expected) => {
    expect(readUnit(unit).formatShort(value)).toBe(expected)
  })
})
