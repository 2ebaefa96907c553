import { expect, test } from 'bun:test'
import { sameApiKeyEntries } from '../../src/events/api-key-flush.ts'
import { sameKeyEntries } from '../../src/events/key-flush.ts'

// Whether a key is used again for another flush is decided by every number of every entry.

const API_KEYS = { ids: [1, 2], requests: [3, 4], successes: [2, 4] }
const KEYS = { hashes: ['a', 'b'], requests: [3, 4], tokens: [5, 6], last_accessed_at: [7, 8] }

const reversed = <Columns extends Record<string, unknown[]>>(columns: Columns) =>
  Object.fromEntries(
    Object.entries(columns).map(([name, values]) => [name, values.toReversed()]),
  ) as Columns

/** The columns with another second value in one of them, for each of them. */
const changed = <Columns extends Record<string, unknown[]>>(columns: Columns) =>
  Object.keys(columns).map((name): [string, Columns] => {
    const [first, second] = columns[name]!
    const other = typeof second === 'number' ? second - 1 : `${second}'`
    return [name, { ...columns, [name]: [first, other] }]
  })

test('entries in another order are the same', () => {
  expect(sameApiKeyEntries(API_KEYS, reversed(API_KEYS))).toBe(true)
  expect(sameKeyEntries(KEYS, reversed(KEYS))).toBe(true)
})

test.each(changed(API_KEYS))('entries of API keys with other %s are others', (_, entries) => {
  expect(sameApiKeyEntries(API_KEYS, entries)).toBe(false)
})

test.each(changed(KEYS))('entries of token keys with other %s are others', (_, entries) => {
  expect(sameKeyEntries(KEYS, entries)).toBe(false)
})

test('the same values in other rows are others', () => {
  const swapped = { ...KEYS, tokens: KEYS.tokens.toReversed() }
  expect(sameKeyEntries(KEYS, swapped)).toBe(false)
})

test('an entry more, or less, makes others', () => {
  const longer = { ids: [1, 2, 2], requests: [3, 4, 4], successes: [2, 4, 4] }
  expect(sameApiKeyEntries(API_KEYS, longer)).toBe(false)
  expect(sameApiKeyEntries(longer, API_KEYS)).toBe(false)
})
