import { expect, test } from 'bun:test'
import { PayloadError } from '../../src/events/columns.ts'
import type { Details } from '../../src/events/details.ts'
import { decodeEvent, toRows } from '../../src/events/event.ts'
import { pack } from '../../src/events/packed.ts'

// The members that held dimensions and measures in the first versions that had some.

test('a payload that no append could have written is refused', () => {
  const details: Details = {
    dimensions: ['model'],
    combinations: [['gpt-5'], ['rare'], [null]],
    counted: [['gpt-5'], ['other'], [null]],
    combination: [0, 1, 2],
    measures: [{ name: 'input_tokens', number: 0, values: [1, 2, 3] }],
  }
  const data = {
    ...{ groups: [1], counts: [3], ids: [1, 2, 3], requests: [3, 2, 1], successes: [1, 1, 1] },
    details,
  }
  const valid = {
    ...{ groups: [1], counts: [3], ids: pack([1, 2, 3]), requests: pack([3, 2, 1]) },
    failures: pack([2, 1, 0]),
    ...{ dimensions: details.dimensions, combinations: details.combinations },
    ...{ counted: details.counted, combination: pack([0, 1, 2]) },
    measures: { input_tokens: [0, ...pack([1, 2, 3])] },
  }
  const decode = (changes: object) =>
    decodeEvent('ApiKeyStatsFlushed', 4, JSON.stringify({ ...valid, ...changes }))
  expect(decode({})).toEqual({ type: 'ApiKeyStatsFlushed', data })
  expect(toRows(decode({}))![1]).toMatchObject({
    dimensions: { model: 'rare' },
    counted_dimensions: { model: 'other' },
    measures: { input_tokens: 2 },
  })
  for (const changes of [
    { ids: [1, 2, 3] },
    { ids: pack([1, 2]) },
    { ids: pack([1, 2, 0]) },
    { failures: pack([4, 0, 0]) },
    { counted_at: -1 },
    { counted_at: 'x' },
    { dimensions: undefined },
    { dimensions: ['b', 'a'] },
    { dimensions: ['Model'] },
    { dimensions: ['model', 'status'] },
    { combinations: [['gpt-5']] },
    { combinations: [['gpt-5'], ['other'], [null]] },
    { combinations: [['gpt-5'], [5], [null]] },
    { counted: [['gpt-5'], ['gpt-5'], [null]] },
    { counted: [['gpt-5'], ['other'], ['other']] },
    { counted: [['gpt-5'], ['other']] },
    { combination: pack([0, 1, 3]) },
    { measures: [] },
    { measures: { input_tokens: [0, 1] } },
    { measures: { input_tokens: [-1, ...pack([1, 2, 3])] } },
    { measures: { b: [0, ...pack([1, 2, 3])], a: [1, ...pack([1, 2, 3])] } },
  ]) {
    expect(() => decode(changes)).toThrow(PayloadError)
  }
})
