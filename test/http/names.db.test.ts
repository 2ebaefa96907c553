import { beforeAll, describe, expect, test } from 'bun:test'
import { positionOf } from '../support/events.ts'
import { useService } from '../support/service.ts'

// Lists sort names as people expect: `a` before `A` and `ä`, numbers by value.

/** In that order; some occur twice, so that the id decides. */
const NAMES = [
  ...[null, null, ' spaced', '_x', '-x', '10% off', 'a', 'A', 'ä', 'Äpfel', 'apple', 'Apple'],
  ...['apple', 'éclair', 'key 2', 'key 10', 'Key 10', 'key-1', 'naive', 'naïve', 'ö', 'z', 'Zebra'],
  ...['Ωmega', '日本', '😀'],
]
const ORDERED = [
  ...['', '', ' spaced', '_x', '-x', '😀', '10% off', 'a', 'A', 'ä', 'Äpfel', 'apple', 'apple'],
  ...['Apple', 'éclair', 'key 2', 'key 10', 'Key 10', 'key-1', 'naive', 'naïve', 'ö', 'z', 'Zebra'],
  ...['Ωmega', '日本'],
]

type Row = { id?: number; token_hash?: string; name: string | null }
type Page = { items: Row[]; next_cursor: string | null }
const LISTS = ['/admin/provider-groups', '/admin/api-keys', '/admin/keys']

const service = useService()
let before: string

beforeAll(async () => {
  // The ids are in another order.
  const rows = NAMES.map((name, i) => ({ id: ((i * 7) % NAMES.length) + 1, name }))
  const response = await service.putCatalog({
    provider_groups: rows,
    api_keys: rows.map((row) => ({ ...row, group_id: (row.id % 2) + 1 })),
    keys: rows.map(({ id, name }) => ({ token_hash: `h${String(id).padStart(2, '0')}`, name })),
  })
  expect(response.status).toBe(200)
  before = positionOf(response)
})

async function readPages(path: string, query: string, limit: number): Promise<Row[]> {
  const rows: Row[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const more: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page: Page = await service.read(`${path}?limit=${limit}&${query}${more}`)
    rows.push(...page.items)
    expect(rows.length).toBeLessThanOrEqual(NAMES.length)
    cursor = page.next_cursor
  }
  return rows
}

const namesOf = (rows: Row[]) => rows.map(({ name }) => name ?? '')
const idOf = (row: Row) => row.token_hash ?? String(row.id).padStart(2, '0')

describe.each(LISTS)('%s', (path) => {
  test.each([1, 2, 7, 1_000])('sorts names as people expect, in pages of %p', async (limit) => {
    expect(namesOf(await readPages(path, 'sort=name', limit))).toEqual(ORDERED)
    expect(namesOf(await readPages(path, 'sort=-name', limit))).toEqual(ORDERED.toReversed())
  })

  test('sorts rows with the same name by id', async () => {
    for (const sort of ['name', '-name']) {
      const rows = await readPages(path, `sort=${sort}`, 3)
      for (const name of ['apple', null]) {
        const ids = rows.filter((row) => row.name === name).map(idOf)
        expect(ids).toHaveLength(2)
        expect(ids).toEqual(sort === 'name' ? ids.toSorted() : ids.toSorted().toReversed())
      }
    }
  })

  test('sorts reads of the past in the same way', async () => {
    const query = `sort=name&as_of_position=${before}`
    expect(namesOf(await readPages(path, query, 5))).toEqual(ORDERED)
  })

  test('searches in either case, and pages the matches by name', async () => {
    const find = async (search: string, sort = 'name') =>
      namesOf(await readPages(path, `search=${encodeURIComponent(search)}&sort=${sort}`, 2))
    expect(await find('äPFEL')).toEqual(['Äpfel'])
    expect(await find('ÉCL')).toEqual(['éclair'])
    expect(await find('ΩMEGA')).toEqual(['Ωmega'])
    expect(await find('KEY', '-name')).toEqual(['key-1', 'Key 10', 'key 10', 'key 2'])
    // A letter with an accent is another letter.
    expect(await find('naive')).toEqual(['naive'])
  })
})

test('API keys of one group are sorted by name too', async () => {
  const rows = await readPages('/admin/api-keys', 'sort=name&group_id=1', 2)
  const all = await readPages('/admin/api-keys', 'sort=name', 1_000)
  const ids = new Set(rows.map(idOf))
  expect(rows.length).toBeGreaterThan(5)
  expect(rows).toEqual(all.filter((row) => ids.has(idOf(row))))
})
