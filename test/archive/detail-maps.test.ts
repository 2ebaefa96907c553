import { expect, test } from 'bun:test'
import { mapsOfAct, mapsOfFlush } from '../../src/archive/detail-maps.ts'

const pair = (key: string, value: string | bigint) => ({ key, value })

test('an entry has the values posted and the values counted, and no measure that is 0', () => {
  const rows = mapsOfFlush({
    dimensions: ['model', 'status'],
    combinations: [
      ['gpt-x', '200'],
      [null, null],
    ],
    counted: [
      ['other', '200'],
      [null, null],
    ],
    combination: [0, 1],
    measures: [
      { name: 'cost', number: 1, values: [0, 5] },
      { name: 'tokens', number: 0, values: [7, 0] },
    ],
  })
  expect([...rows]).toEqual([
    {
      dimensions: [pair('model', 'gpt-x'), pair('status', '200')],
      counted_dimensions: [pair('model', 'other'), pair('status', '200')],
      measures: [pair('tokens', 7n)],
    },
    { dimensions: null, counted_dimensions: null, measures: [pair('cost', 5n)] },
  ] as never)
})

test('rows of an act have names of measures, and the values counted', () => {
  const details = {
    combinations: ['{"model":"gpt-5"}', '{}'],
    combination: [0, 0, 1],
    measures: [
      { number: 0, values: [1, -2, 0] },
      { number: 3, values: [0, 0, -4] },
    ],
  }
  const rows = mapsOfAct(details, { start: 1, end: 3 }, new Map([[0, 'tokens']]))
  expect([...rows]).toEqual([
    {
      dimensions: null,
      counted_dimensions: [pair('model', 'gpt-5')],
      measures: [pair('tokens', -2n)],
    },
    { dimensions: null, counted_dimensions: null, measures: [pair('measure_3', -4n)] },
  ] as never)
})
