import { expect, test } from 'bun:test'
import { Catalog } from '../../../src/log/catalog/catalog.ts'
import { GroupCache } from '../../../src/log/catalog/group-cache.ts'

test('a group is looked up once, whatever its value', () => {
  const groups = new Map<number, number | null>([
    [1, 7],
    [2, 0],
    [3, null],
    [1_024, 2 ** 32 - 3],
  ])
  const lookedUp: number[] = []
  const cache = new GroupCache((id) => {
    lookedUp.push(id)
    return groups.get(id) ?? null
  })
  for (let i = 0; i < 2; i++) {
    for (const [id, group] of groups) expect(cache.get(id)).toBe(group)
  }
  expect(lookedUp).toEqual([...groups.keys()])
})

test('ids and groups that do not fit the cache are still right', () => {
  const group = Number.MAX_SAFE_INTEGER
  const cache = new GroupCache((id) => (id === 2 ** 40 ? 5 : group))
  for (let i = 0; i < 2; i++) {
    expect(cache.get(2 ** 40)).toBe(5)
    expect(cache.get(9)).toBe(group)
  }
})

test('the next lookup sees every change of the catalog', () => {
  const catalog = new Catalog()
  const group = (id: number) => ({ id, name: null })
  const key = (group_id: number) => ({ id: 1, group_id, name: null })
  expect(catalog.groupOf(1)).toBe(null)
  catalog.fold(0, 'x', { upserted: { api_keys: [key(5)] }, ended: {} })
  expect(catalog.groupOf(1)).toBe(0)
  catalog.fold(1, 'x', { upserted: { provider_groups: [group(5)] }, ended: {} })
  expect(catalog.groupOf(1)).toBe(5)
  catalog.fold(2, 'x', { upserted: {}, ended: { provider_groups: [group(5)] } })
  expect(catalog.groupOf(1)).toBe(0)
  catalog.fold(3, 'x', { upserted: {}, ended: { api_keys: [key(5)] } })
  expect(catalog.groupOf(1)).toBe(null)
  catalog.clear()
  expect(catalog.groupOf(1)).toBe(null)
})
