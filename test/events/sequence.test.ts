import { expect, test } from 'bun:test'
import { PayloadError } from '../../src/events/columns.ts'
import { decodeEvent, toRows, versionOf } from '../../src/events/event.ts'
import { type AttributedFlush, attributeFlush, encodeFlush } from '../../src/events/flush.ts'
import { parseSequence } from '../../src/events/sequence.ts'

// The sequence of a flush: its text, and its place in the event.

const LARGEST = Number.MAX_SAFE_INTEGER - 1

test('a sequence is one number or a range, and may be the end', () => {
  const one = { epoch: 'gw-1.6f_3A', first: 0, last: 0, isEnd: false }
  expect(parseSequence('gw-1.6f_3A/0')).toEqual(one)
  expect(parseSequence('gw-1.6f_3A/0;last')).toEqual({ ...one, isEnd: true })
  expect(parseSequence('gw-1.6f_3A/0-0')).toEqual(one)
  expect(parseSequence(`${'e'.repeat(64)}/5-${LARGEST};last`)).toEqual({
    ...{ epoch: 'e'.repeat(64), first: 5, last: LARGEST, isEnd: true },
  })
})

test('any other text is none', () => {
  const others = [
    ...['', '/', 'e', 'e/', '/1', 'e/-1', 'e/1-', 'e/01', 'e/1-02', 'e/6-5', 'e/1.5', 'e/1e3'],
    ...['e/1;', 'e/1;LAST', 'e/1; last', 'e/1;last;last', 'e/1\n', ' e/1', 'e/1 ', 'e /1', 'é/1'],
    ...[`e/${LARGEST + 1}`, `e/0-${LARGEST + 1}`, 'e/99999999999999999', `${'e'.repeat(65)}/1`],
    ...['e/1,e/2', 'e/1/2', 'a/b/1'],
  ]
  expect(others.filter((text) => parseSequence(text) !== null)).toEqual([])
})

const attributor = { groupOf: () => 1, quotaTrackedOf: () => false }
const details = {
  ...{ dimensions: ['model'], combinations: [['gpt-5']], counted: [['gpt-5']], combination: [0] },
  measures: [{ name: 'cost', number: 0, values: [3] }],
}
const apiKeys = { ids: [7], requests: [2], successes: [1] }
const keys = { hashes: ['k'], requests: [2], tokens: [3], last_accessed_at: [0] }
const FLUSHES = [
  { type: 'ApiKeyStatsFlushed' as const, version: 6, entries: apiKeys },
  { type: 'KeyStatsFlushed' as const, version: 4, entries: keys },
]

test.each(FLUSHES)('$type holds it beside all else that it may hold', (flush) => {
  const { version, ...plain } = flush
  const sequence = 'e/5-6;last'
  for (const extras of [{}, { countedAt: 1_769_860_800 }]) {
    for (const entries of [plain.entries, { ...plain.entries, details }]) {
      const posted = { ...plain, entries, ...extras }
      const without = attributeFlush(posted as never, attributor)
      const event = attributeFlush({ ...posted, sequence } as never, attributor)
      expect(versionOf(event)).toBe(version)
      expect(versionOf(without)).toBeLessThan(version)
      const read = decodeEvent(event.type, version, encodeFlush(event)) as AttributedFlush
      expect(read).toEqual(event)
      expect(read.data.sequence).toBe(sequence)
      expect(toRows(read)).toEqual(toRows(without))
      // The same flush, but for the sequence.
      expect(read.data).toEqual({ ...without.data, sequence } as never)
    }
  }
})

test.each(FLUSHES)('a payload of $type that no append could have written is refused', (flush) => {
  const { version, ...posted } = flush
  const event = attributeFlush({ ...posted, sequence: 'e/1' } as never, attributor)
  const payload = JSON.parse(encodeFlush(event))
  for (const sequence of [undefined, null, 1, '', 'e/01', 'e/2-1', ['e/1']]) {
    const changed = JSON.stringify({ ...payload, sequence })
    expect(() => decodeEvent(event.type, version, changed)).toThrow(PayloadError)
  }
})
