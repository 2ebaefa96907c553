import { describe, expect, test } from 'bun:test'
import type { CatalogChange } from '../../src/events/catalog-change.ts'
import type { PostedFlush } from '../../src/events/flush.ts'
import { Catalog } from '../../src/log/catalog/catalog.ts'
import { makeRows } from '../../src/registration/rows.ts'
import { findUnknown } from '../../src/registration/unknown.ts'
import { flushOf, keyFlushOf } from '../support/registered.ts'

// Which rows are added to the catalog for the unknown keys of flushes.

const group = (id: number, external_id: string) => ({ id, name: null, external_id })
const key = (id: number, external_id?: string) => ({
  ...{ id, group_id: 0, name: null },
  ...(external_id === undefined ? {} : { external_id }),
})
const tokenKey = (token_hash: string) => ({ token_hash, quota_limit: -1, name: null })

const catalog = new Catalog()
const change: CatalogChange = {
  upserted: {
    provider_groups: [group(3, 'openai')],
    api_keys: [key(1, 'sk-1'), key(2), key(50)],
    keys: [tokenKey('known')],
  },
  ended: {
    provider_groups: [group(4, 'gone')],
    api_keys: [key(7), key(8, 'sk-8')],
    keys: [tokenKey('ended')],
  },
}
catalog.fold(0, 'a', change)

const register = (limit: number, ...flushes: PostedFlush[]) =>
  makeRows(catalog, findUnknown(catalog, flushes), limit)
const added = (...flushes: PostedFlush[]) => register(1_000, ...flushes).rows

describe('an API key is added', () => {
  test('by its id, by its external id with the next id, or by both', () => {
    const flush = flushOf({ id: 60 }, { name: 'a' }, { id: 61, name: 'b' }, { name: 'c' })
    expect(added(flush).api_keys).toEqual([key(61, 'b'), key(60), key(62, 'a'), key(63, 'c')])
  })

  test('once, however often and by whichever name it is named', () => {
    const flushes = [flushOf({ id: 60 }, { name: 'a' }), flushOf({ name: 'a', id: 60 }, { id: 60 })]
    expect(added(...flushes).api_keys).toEqual([key(60, 'a')])
  })

  test('with the first of two external ids for one id, and the first of two ids for one', () => {
    const flush = flushOf({ id: 60, name: 'a' }, { id: 60, name: 'b' }, { id: 61, name: 'a' })
    expect(added(flush).api_keys).toEqual([key(60, 'a')])
  })

  test('in the group that the entry names, if that is in the catalog', () => {
    const hints = [{ group: 'openai' }, { groupId: 3 }, { group: 'gone' }, { groupId: 4 }]
    const both = [{ group: 'none', groupId: 3 }, { group: 'openai', groupId: 9 }, undefined]
    const entries = [...hints, ...both].map((hint, i) => ({ id: 60 + i, ...(hint && { hint }) }))
    const groups = added(flushOf(...entries)).api_keys!.map(({ group_id }) => group_id)
    expect(groups).toEqual([3, 3, 0, 0, 0, 3, 0])
  })

  test('with the first name and the first known group that an entry gives', () => {
    const flush = flushOf(
      { id: 60, hint: { group: 'none' } },
      { id: 60, hint: { name: 'one', group: 'openai' } },
      { id: 60, hint: { name: 'two' } },
    )
    expect(added(flush).api_keys).toEqual([{ id: 60, group_id: 3, name: 'one' }])
  })
})

test('a token key is added without a limit, with its name', () => {
  const flush = keyFlushOf({ hash: 'a' }, { hash: 'a', name: 'one' }, { hash: 'known' })
  expect(added(flush)).toEqual({ keys: [{ ...tokenKey('a'), name: 'one' }] })
})

describe('nothing is added for', () => {
  test('known keys', () => {
    expect(added(flushOf({ id: 1 }, { name: 'sk-1' }, { id: 2 }), keyFlushOf())).toEqual({})
  })

  test('retired keys, by any name', () => {
    const entries = [{ id: 7 }, { id: 8 }, { name: 'sk-8' }, { id: 8, name: 'sk-8' }]
    const flush = flushOf(...entries, { id: 7, name: 'new' })
    expect(added(flush, keyFlushOf({ hash: 'ended' }))).toEqual({})
  })

  test('an entry that names two keys', () => {
    expect(added(flushOf({ id: 2, name: 'a' }, { id: 60, name: 'sk-1' }))).toEqual({})
  })

  test.each(['x'.repeat(256), 'a\ufffdb'])('a name that the catalog can not have, %#', (name) => {
    const flush = flushOf({ name }, { id: 60, name })
    expect(added(flush, keyFlushOf({ hash: name }))).toEqual({})
  })

  test('an id that would leave no ids for new rows', () => {
    expect(added(flushOf({ id: 2 ** 52 - 1 }, { id: 2 ** 52 - 2 ** 32 }))).toEqual({})
    const ids = [2 ** 52 - 2 ** 32 - 1, 2 ** 52, 2 ** 53 - 1]
    const flush = flushOf(...ids.map((id) => ({ id })), { name: 'a' })
    expect(added(flush).api_keys!.map(({ id }) => id)).toEqual([...ids, 2 ** 52 - 2 ** 32])
  })
})

test('keys beyond the limit are left out', () => {
  const flushes = [flushOf({ id: 60 }, { name: 'a' }), keyFlushOf({ hash: 'a' }, { hash: 'b' })]
  expect(register(4, ...flushes)).toMatchObject({ added: 4, leftOut: 0 })
  expect(register(3, ...flushes)).toEqual({
    rows: { api_keys: [key(60), key(61, 'a')], keys: [tokenKey('a')] },
    ...{ added: 3, leftOut: 1 },
  })
  expect(register(1, ...flushes)).toEqual({
    rows: { api_keys: [key(60)] },
    ...{ added: 1, leftOut: 3 },
  })
  for (const limit of [0, -5]) {
    expect(register(limit, ...flushes)).toEqual({ rows: {}, added: 0, leftOut: 4 })
  }
})

test('a retired key that was added again is known, and one that is not stays retired', () => {
  const again = new Catalog()
  again.fold(0, 'a', change)
  again.fold(1, 'b', { upserted: { api_keys: [key(7)], keys: [tokenKey('ended')] }, ended: {} })
  expect([...again.retired.apiKeys]).toEqual([8])
  expect([...again.retired.keys]).toEqual([])
  again.clear()
  expect([...again.retired.apiKeys]).toEqual([])
})
