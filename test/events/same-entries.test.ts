import { expect, test } from 'bun:test'
import { type ApiKeyEntries, sameApiKeyEntries as same } from '../../src/events/api-key-flush.ts'
import { sameKeyEntries } from '../../src/events/key-flush.ts'

// Every number of every entry decides if a key was reused for another flush.

const API_KEYS = { ids: [1, 2], requests: [3, 4], successes: [2, 4] }
const KEYS = { hashes: ['a', 'b'], requests: [3, 4], tokens: [5, 6], last_accessed_at: [7, 8] }

/** The key with the external id `a` has the id 1. */
const idOf = (externalId: string) => (externalId === 'a' ? 1 : null)

const sameApiKeyEntries = (a: ApiKeyEntries, b: ApiKeyEntries) => same(a, b, idOf)

const reversed = <Columns extends Record<string, unknown[]>>(columns: Columns) =>
  Object.fromEntries(
    Object.entries(columns).map(([name, values]) => [name, values.toReversed()]),
  ) as Columns

/** For each column, the columns with another second value in that one. */
const changed = <Columns extends Record<string, unknown[]>>(columns: Columns) =>
  Object.keys(columns).map((name): [string, Columns] => {
    const [first, second] = columns[name]!
    const other = typeof second === 'number' ? second - 1 : `${second}'`
    return [name, { ...columns, [name]: [first, other] }]
  })

test('the same entries in another order are equal', () => {
  expect(sameApiKeyEntries(API_KEYS, reversed(API_KEYS))).toBe(true)
  expect(sameKeyEntries(KEYS, reversed(KEYS))).toBe(true)
})

test.each(changed(API_KEYS))('entries of API keys with different %s differ', (_, entries) => {
  expect(sameApiKeyEntries(API_KEYS, entries)).toBe(false)
})

test.each(changed(KEYS))('entries of token keys with different %s differ', (_, entries) => {
  expect(sameKeyEntries(KEYS, entries)).toBe(false)
})

test('entries with the same values in other rows differ', () => {
  const swapped = { ...KEYS, tokens: KEYS.tokens.toReversed() }
  expect(sameKeyEntries(KEYS, swapped)).toBe(false)
})

test('entries with one more or one less differ', () => {
  const longer = { ids: [1, 2, 2], requests: [3, 4, 4], successes: [2, 4, 4] }
  expect(sameApiKeyEntries(API_KEYS, longer)).toBe(false)
  expect(sameApiKeyEntries(longer, API_KEYS)).toBe(false)
})

test('entries that name a key by its id or its external id are equal', () => {
  const named = { ...API_KEYS, ids: [0, 2], names: ['a', null] }
  expect(sameApiKeyEntries(API_KEYS, named)).toBe(true)
  expect(sameApiKeyEntries(named, reversed(API_KEYS))).toBe(true)
})

test('entries with two external ids that no key has differ', () => {
  const named = (name: string) => ({ ...API_KEYS, ids: [0, 2], names: [name, null] })
  expect(sameApiKeyEntries(named('x'), named('x'))).toBe(true)
  expect(sameApiKeyEntries(named('x'), named('y'))).toBe(false)
  expect(sameApiKeyEntries(named('x'), API_KEYS)).toBe(false)
})
