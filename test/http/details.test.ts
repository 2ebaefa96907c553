import { expect, test } from 'bun:test'
import type { PostedFlush } from '../../src/events/flush.ts'
import { parseFlush } from '../../src/http/flushes/model.ts'

// Dimensions and measures in the body of a flush; test/events/details.test.ts covers the rest.

test('entries that name the same dimensions in another order have the same combination', () => {
  const posted = ['a', 'b', null].flatMap((model) => [
    { api_key_id: 1, dimensions: { model, status: '200' } },
    { api_key_id: 1, dimensions: { status: '200', model } },
    { api_key_id: 1, dimensions: null, measures: { cost_micros: 1 } },
  ])
  const read = parseFlush(
    'ApiKeyStatsFlushed',
    JSON.stringify({ keys: [{}, null, ...posted] }),
    false,
  )
  expect((read as PostedFlush).entries.details).toMatchObject({
    dimensions: ['model', 'status'],
    combinations: [
      ['a', '200'],
      [null, null],
      ['b', '200'],
      [null, '200'],
    ],
    combination: [0, 0, 1, 2, 2, 1, 3, 3, 1],
    measures: [{ name: 'cost_micros', values: [0, 0, 1, 0, 0, 1, 0, 0, 1] }],
  })
})

test('a flush with more names than can be declared at once is refused', () => {
  const refusalOf = (member: string, names: number, value: unknown) => {
    const keys = Array.from({ length: names }, (_, i) => ({
      ...{ api_key_id: 1, [member]: { first: value, [`name_${i}`]: value } },
    }))
    return parseFlush('ApiKeyStatsFlushed', JSON.stringify({ keys: [null, ...keys] }), false)
  }
  expect(refusalOf('dimensions', 7, 'x')).not.toHaveProperty('error')
  expect(refusalOf('measures', 31, 1)).not.toHaveProperty('error')
  for (const [member, names, value] of [
    ['dimensions', 8, 'x'],
    ['measures', 32, 1],
  ] as const) {
    const refusal = refusalOf(member, names, value)
    expect(refusal).toMatchObject({ error: 'invalid stats payload' })
    expect((refusal as { detail: string }).detail).toStartWith(`keys[${names}].${member} `)
  }
})
