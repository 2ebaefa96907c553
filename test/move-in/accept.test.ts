import { expect, test } from 'bun:test'
import { acceptBooks } from '../../src/move-in/accept.ts'
import type { OldApiKey, OldBooks, OldKey } from '../../src/move-in/old-books.ts'
import { SYSTEMS } from '../../src/move-in/systems/index.ts'
import { balance, countLeftOut } from '../../src/move-in/trial-balance.ts'

// What cannot be represented becomes a finding, and what is moved instead is as documented.

const apiKey = (ref: string, more: Partial<OldApiKey> = {}): OldApiKey => ({
  ...{ ref, name: null, group: null, requests: 1n, successes: 1n, isDeleted: false, ...more },
})
const key = (ref: string, more: Partial<OldKey> = {}): OldKey => ({
  ...{ ref, name: null, group: null, requests: 0n, tokens: 0n, used: 0n, limit: null },
  ...{ period: 'none', lastAccess: null, isDeleted: false, ...more },
})
const books = (rows: Partial<OldBooks>): OldBooks => ({
  ...{ groups: [], apiKeys: [], keys: [], orphaned: 0n, notes: [] },
  ...{ totals: { apiKeys: {}, keys: {} }, ...rows },
})
const accept = (rows: Partial<OldBooks>, name = 'ez-api') => {
  const { accepted, findings } = acceptBooks(SYSTEMS[name]!, books(rows))
  return { ...accepted, kinds: findings.map(({ kind, at }) => `${kind} ${at}`) }
}

test('a name that is too long or not valid text is left out', () => {
  const long = 'x'.repeat(256)
  const { apiKeys, kinds } = accept({
    apiKeys: [
      ...[apiKey('1', { name: long }), apiKey('2', { name: 'a\0b' })],
      ...[apiKey('3', { name: '\ud800' }), apiKey('4', { name: '🙂'.repeat(127) })],
    ],
  })
  expect(kinds).toEqual(['name api_keys 1', 'name api_keys 2', 'name api_keys 3'])
  expect(apiKeys.map(({ name }) => name)).toEqual([null, null, null, '🙂'.repeat(127)])
})

test('ids and hashes that a row cannot have are not moved', () => {
  const { apiKeys, keys, kinds } = accept({
    apiKeys: ['0', '-1', '9007199254740992', '9007199254740991'].map((ref) => apiKey(ref)),
    keys: ['', ' a', 'a', 'b'.repeat(256)].map((ref) => key(ref)),
  })
  expect(apiKeys.map(({ ref }) => ref)).toEqual(['9007199254740991'])
  expect(keys.map(({ ref }) => ref)).toEqual(['a'])
  expect(kinds.filter((kind) => kind.startsWith('identity'))).toHaveLength(6)
  expect(accept({ apiKeys: [apiKey('0')] }, 'litellm').kinds).toEqual([])
})

test('the first of two rows with a name is moved', () => {
  const { keys, kinds } = accept({ keys: [key('a', { used: 1n }), key('a', { used: 2n })] })
  expect([keys.map(({ used }) => used), kinds]).toEqual([[1n], ['duplicate keys a']])
})

test('amounts below zero or beyond 2^53 - 1 are not moved, and what is left out is counted', () => {
  const rows = {
    apiKeys: [
      ...[apiKey('1', { requests: 2n ** 53n }), apiKey('2', { successes: 2n })],
      apiKey('3', { requests: 2n ** 53n - 1n }),
    ],
    keys: [key('a', { used: -1n }), key('b', { tokens: 2n ** 60n })],
  }
  const { accepted, findings } = acceptBooks(SYSTEMS['ez-api']!, books(rows))
  expect(findings.map(({ kind }) => kind)).toEqual(Array(4).fill('amount'))
  expect(countLeftOut(books(rows), accepted)).toEqual([
    'API keys not moved: 2, with 9007199254740993 requests',
    'Token keys not moved: 2, with 0 requests',
  ])
})

test('limits, periods and times that quotas cannot have', () => {
  const { keys, kinds } = accept({
    keys: [
      ...[key('a', { limit: -5n }), key('b', { limit: 3n, period: '90d' })],
      ...[key('c', { lastAccess: -1n }), key('d', { limit: 0n, used: 7n, period: 'week' })],
    ],
  })
  expect(kinds).toEqual(['limit keys a', 'period keys b', 'time keys c'])
  expect(keys.map(({ limit, period }) => [limit, period])).toEqual([
    [0n, 'none'],
    [null, 'none'],
    [null, 'none'],
    [0n, 'week'],
  ])
  const { keyTotal } = balance({ groups: [], apiKeys: [], keys })
  expect(keyTotal).toMatchObject({ keys: 4, unlimited: 2, used: 7n, limits: 0n, remaining: -7n })
})

test('requests of keys that are gone are a finding', () => {
  expect(accept({ orphaned: 3n }).kinds).toEqual(['orphaned-usage api_keys'])
})
