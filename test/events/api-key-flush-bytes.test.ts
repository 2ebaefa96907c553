import { describe, expect, test } from 'bun:test'
import { readApiKeyFlushBytes } from '../../src/events/api-key-flush-bytes.ts'
import { decodeApiKeyFlush, encodeApiKeyFlush } from '../../src/events/api-key-flush-payload.ts'

const read = (text: string) => readApiKeyFlushBytes(new TextEncoder().encode(text))

const payload = (columns: Record<string, unknown>) =>
  JSON.stringify({
    groups: [1, 0, null],
    counts: [2, 1, 1],
    ids: [1, 2, 4, 777],
    requests: [3, 5, 4, 1],
    failing: [0, 3],
    failures: [2, 1],
    ...columns,
  })

test('a payload that an append writes reads the same from bytes as from text', () => {
  const empty = { groups: [], counts: [], ids: [], requests: [], failing: [], failures: [] }
  for (const text of [payload({}), payload(empty), payload({ requests: [3, 5, 999_999, 1] })]) {
    expect(read(text)).toEqual(decodeApiKeyFlush(JSON.parse(text)))
    expect(encodeApiKeyFlush(read(text)!)).toBe(text)
  }
})

describe('the byte reader leaves to JSON.parse', () => {
  test.each([
    ['spaces', payload({}).replaceAll(',', ', ')],
    ['another order of columns', JSON.stringify({ counts: [1], groups: [1] })],
    ['a number of 16 digits', payload({ requests: [3, 5, Number.MAX_SAFE_INTEGER, 1] })],
    ['a leading zero', payload({}).replace('[3,5', '[03,5')],
    ['a trailing comma', payload({}).replace('777]', '777,]')],
    ['a comma alone', payload({}).replace('[1,2,4,777]', '[,]')],
    ['a fraction', payload({ requests: [3, 5, 4.5, 1] })],
    ['a negative number', payload({ requests: [3, 5, -4, 1] })],
    ['a text', payload({ ids: [1, 2, 4, '7'] })],
    ['an id of 0', payload({ ids: [1, 2, 0, 777] })],
    ['an id that is null', payload({ ids: [1, 2, null, 777] })],
    ['fewer ids', payload({ ids: [1, 2, 4] })],
    ['more ids', payload({ ids: [1, 2, 4, 777, 8] })],
    ['fewer requests', payload({ requests: [3, 5, 4] })],
    ['more groups than counts', payload({ groups: [1, 0, null, 2] })],
    ['counts past any length', payload({ counts: [2, 1, 999_999_999_999] })],
    ['more failures than requests', payload({ failures: [2, 2] })],
    ['a failure of no entry', payload({ failing: [0, 4] })],
    ['fewer failures', payload({ failures: [2] })],
    ['something after the end', `${payload({})} `],
    ['a missing end', payload({}).slice(0, -1)],
    ['nothing', ''],
  ])('%s', (_, text) => {
    expect(read(text)).toBe(null)
  })
})
