import { expect, test } from 'bun:test'
import { formatBar, formatLine } from '../../src/cli/progress.ts'

const state = { label: 'export', done: 40_000, total: 100_000, elapsedMs: 5_000 }

test('a bar shows how much is done, how fast, and the time left', () => {
  expect(formatBar(state, 80)).toBe(
    'export [#########...............]  40,000/100,000  8,000/s  0:08 left',
  )
  expect(formatBar({ ...state, done: 100_000 }, 80)).toBe(
    'export [########################]  100,000/100,000  20,000/s',
  )
})

test('a narrow terminal shows no bar, and no line is as wide as the terminal', () => {
  expect(formatBar(state, 60)).toBe('export  40,000/100,000  8,000/s  0:08 left')
  for (const columns of [1, 10, 69, 70, 71]) {
    expect(formatBar(state, columns).length).toBeLessThan(columns)
  }
})

test('a line states the same in words', () => {
  expect(formatLine(state)).toBe('export: 40,000 of 100,000, 8,000/s, 0:08 left')
})

test('minutes and seconds after hours have two digits', () => {
  const slow = { ...state, done: 1, total: 3_724, elapsedMs: 1_000 }
  expect(formatLine(slow)).toEndWith('1/s, 1:02:03 left')
})

test('a rate or time left that is undefined is not shown', () => {
  expect(formatLine({ ...state, done: 0 })).toBe('export: 0 of 100,000, 0/s')
  expect(formatLine({ ...state, done: 0, total: 0 })).toBe('export: 0 of 0, 0/s')
  expect(formatBar({ ...state, done: 5, total: 0, elapsedMs: 0 }, 80)).toBe(
    'export [........................]  5/0  0/s',
  )
})
