import { expect, test } from 'bun:test'
import { parseStat } from '../../bench/scale/processes.ts'

test('a process name with spaces and parentheses shifts no field', () => {
  const fields = ['S', '7', '41', '41', '0', '-1', '0', '1', '2', '3', '4', '120', '30', '5', '6']
  const found = parseStat(`41 (postgres: a) b (c)) ${fields.join(' ')} 20 0 1 0`)
  expect(found).toEqual({ pid: 41, parent: 7, seconds: 1.5, endedSeconds: 0.11 })
})
