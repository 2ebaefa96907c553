import { expect, test } from 'bun:test'
import { renderScale, scaleCharts } from '../../bench/report-scale.ts'
import type { Results } from '../../bench/results.ts'
import { makeResults } from './results.ts'

const blocks = renderScale(makeResults())

const cellsOf = (line: string) => line.split(' | ').length

test('every row of a table has as many cells as its header, each with a value', () => {
  expect(Object.keys(blocks)).toEqual(['curve', 'unit costs', 'plan', 'ends'])
  for (const block of Object.values(blocks)) {
    expect(block).not.toMatch(/NaN|undefined|Infinity/)
    for (const text of block.split('\n\n')) {
      const rows = text.split('\n').filter((line) => line.startsWith('|'))
      expect(new Set(rows.map(cellsOf)).size).toBeLessThanOrEqual(1)
    }
  }
})

test('a section that was not measured is not reported', () => {
  const { costs, ...rest } = makeResults()
  expect(costs).toBeDefined()
  expect(renderScale(rest as Results)).toEqual({})
  expect(scaleCharts(rest as Results)).toEqual({})
})

test('the fit finds the costs that a measured curve was made from', () => {
  expect(blocks['unit costs']).toContain('| service, main thread, µs | 100 | 20 | 0.2 |')
  expect(blocks['unit costs']).toContain('| log and its indexes, bytes | – | 240 | 8 |')
})
