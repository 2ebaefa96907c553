import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { PayloadError } from '../../src/events/columns.ts'
import type { Details } from '../../src/events/details.ts'
import { decodeEvent, toRows } from '../../src/events/event.ts'
import { encodeFlush } from '../../src/events/flush.ts'
import { pack, unpack } from '../../src/events/packed.ts'
import { parametersOf, runsOf } from '../property/runs.ts'

// The members of payloads that hold dimensions and measures, and packed columns.

const runs = runsOf(300)

test('a packed column is read as it was, whatever its numbers', () => {
  const column = fc.array(fc.oneof(fc.nat(7), fc.maxSafeNat()))
  const property = fc.property(column, (values) => {
    expect(unpack(JSON.parse(JSON.stringify(pack(values))), values.length, 'x')).toEqual(values)
  })
  fc.assert(property, parametersOf(runs))
  expect(pack([3, 1, 2])).toEqual([2, '2A=='])
})

test('a column that is packed in another way is refused', () => {
  const column = pack([3, 1, 2])
  const others: unknown[] = [
    ...[null, [], ['2', '2A=='], [2], [54, ''], [-1, ''], [2, 3], [2, '2A'], [2, '2Q==']],
    ...[
      [3, '2A=='],
      [3, 'ZQA='],
      [2, '2AA='],
    ],
  ]
  for (const other of others) expect(() => unpack(other, 3, 'x')).toThrow(PayloadError)
  expect(() => unpack(column, 5, 'x')).toThrow(PayloadError)
})

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
  const valid = JSON.parse(encodeFlush({ type: 'ApiKeyStatsFlushed', data }))
  const decode = (changes: object) =>
    decodeEvent('ApiKeyStatsFlushed', 5, JSON.stringify({ ...valid, ...changes }))
  expect(decode({})).toEqual({ type: 'ApiKeyStatsFlushed', data })
  // A value that is counted in two ways, and a measure that most entries do not have.
  expect(
    decode({
      dimensions: { model: [...pack([0, 1, 0]), ['gpt-5', 'gpt-5'], [1]] },
      measures: { input_tokens: [0, ...pack([900]), 1, ...pack([1])] },
    }).data,
  ).toMatchObject({
    details: {
      combinations: [['gpt-5'], ['gpt-5']],
      counted: [['gpt-5'], ['other']],
      combination: [0, 1, 0],
      measures: [{ name: 'input_tokens', number: 0, values: [0, 900, 0] }],
    },
  })
  expect(toRows(decode({}))![1]).toMatchObject({
    dimensions: { model: 'rare' },
    counted_dimensions: { model: 'other' },
    measures: { input_tokens: 2 },
  })
  expect(valid.dimensions).toEqual({ model: [2, 'GA==', ['gpt-5', 'rare', null], [1]] })
  const dimensions = (...values: unknown[]) => ({ dimensions: { model: values } })
  const numbers = pack([0, 1, 2])
  const measures = (...values: unknown[]) => ({ measures: { input_tokens: values } })
  for (const changes of [
    { ids: [1, 2, 3] },
    { ids: pack([1, 2]) },
    { ids: pack([1, 2, 0]) },
    { failures: pack([4, 0, 0]) },
    { counted_at: -1 },
    { counted_at: 'x' },
    { dimensions: undefined },
    { dimensions: [] },
    { dimensions: { Model: valid.dimensions.model } },
    { dimensions: { status: valid.dimensions.model, model: valid.dimensions.model } },
    { dimensions: { model: {} } },
    dimensions(...numbers),
    dimensions(...pack([0, 1]), ['gpt-5', 'rare', null]),
    dimensions(...numbers, ['gpt-5', 'rare']),
    dimensions(...numbers, ['gpt-5', 'rare', null, 'unused']),
    dimensions(...pack([0, 2, 1]), ['gpt-5', 'rare', null]),
    dimensions(...numbers, ['gpt-5', 'other', null]),
    dimensions(...numbers, ['gpt-5', 5, null]),
    dimensions(...numbers, ['gpt-5', 'gpt-5', null]),
    dimensions(...numbers, ['gpt-5', 'gpt-5', null], [0, 1]),
    ...[[], [2], [3], [1, 1], [1, 0], 1, null, ['1'], [1.5]].map((others) =>
      dimensions(...numbers, ['gpt-5', 'rare', null], others),
    ),
    { measures: [] },
    measures(0, 1),
    measures(-1, ...pack([1, 2, 3])),
    measures(0, ...pack([900, 0, 0])),
    measures(0, ...pack([1, 2, 3]), 3, ...pack([0, 1, 2])),
    measures(0, ...pack([900]), 1, ...pack([3])),
    measures(0, ...pack([900]), 1, ...pack([0, 1])),
    measures(0, ...pack([900]), -1, ...pack([0])),
    measures(0, ...pack([900]), 1),
    { measures: { b: [0, ...pack([1, 2, 3])], a: [1, ...pack([1, 2, 3])] } },
  ]) {
    expect(() => decode(changes)).toThrow(PayloadError)
  }
})
