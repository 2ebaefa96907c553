import { beforeAll, describe, expect, test } from 'bun:test'
import { positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// `search=` on lists: rows whose name contains it, in either case, or whose id begins with it.

type Row = { id?: number; token_hash?: string; name: string | null; total_requests?: number }
type Page = { items: Row[]; next_cursor: string | null }

/** Names that could be mistaken for patterns, and some that look alike. */
const NAMES = [
  ...['OpenAI', 'openai eu', 'my-OPENAI', 'open ai', null, '100% sure', '100x sure', 'a_b', 'axb'],
  ...['a\\b', 'a\\\\b', "o'hara", 'a"b', '(.*)', '[a-z]', '^start$', '12', 'id 3', 'naïve', '日本'],
  ...['ﬁ', '😀 smile', ' spaced ', 'tab\there', '%', '_', '\\', '$1', ':name', 'null', 'true'],
]

const hashOf = (id: number) => `${id % 2 === 0 ? 'Ab' : 'aB'}%${id}_hash`

const LISTS = [
  ['/admin/provider-groups', (row: Row) => String(row.id)],
  ['/admin/api-keys', (row: Row) => String(row.id)],
  ['/admin/keys', (row: Row) => row.token_hash!],
] as const

const service = useService()
/** The positions of the log before a name was changed. */
let before: string

beforeAll(async () => {
  const rows = NAMES.map((name, i) => ({ id: i + 1, name }))
  await service.putCatalog({
    provider_groups: rows,
    api_keys: rows.map((row) => ({ ...row, group_id: (row.id % 3) + 1 })),
    keys: rows.map(({ id, name }) => ({ token_hash: hashOf(id), name })),
  })
  const requests = rows.map(({ id }) => ({ api_key_id: id, requests: (id * 7) % 10 }))
  await service.post('/internal/apikey-stats/flush', { keys: requests })
  before = positionOf(await service.fetch('admin', '/admin/apikey-stats/summary'))
  await service.putCatalog({ provider_groups: [{ id: 1, name: 'renamed' }] })
  await service.fetch('admin', '/admin/provider-groups/2', { method: 'DELETE' })
})

const read = (path: string, query: string) => service.read<Page>(`${path}?${query}`)

const lower = (text: string) => text.toLowerCase()
const upper = (text: string) => text.toUpperCase()

for (const [path, idOf] of LISTS) {
  const matchesSearch = (row: Row, search: string) =>
    lower(row.name ?? '').includes(lower(search)) || idOf(row).startsWith(search)

  describe(path, () => {
    test('finds the same rows as a naive search, even for text like a pattern', async () => {
      const { items } = await read(path, 'limit=1000')
      const searches = new Set([
        ...NAMES.flatMap((name) => (name === null ? [] : [name, upper(name), name.trim()])),
        ...['OPENAI', 'penA', 'enai e', '%', '_', '\\', '\\\\', "'", '"', '.*', '^', '$', '?', '*'],
        ...['1', '12', '13', '01', '1 ', '0', 'AB', 'Ab%', 'Ab%1', 'aB_', '_hash', '%%', '__'],
        ...["' or 1=1 --", '$1', '{search}', '{}', 'nothing like it', 'x'.repeat(255), '  '],
      ])
      let found = 0
      for (const search of searches) {
        const page = await read(path, `limit=1000&search=${encodeURIComponent(search)}`)
        const expected = items.filter((row) => matchesSearch(row, search))
        expect([search, page.items.map(idOf)]).toEqual([search, expected.map(idOf)])
        expect(page.items).toEqual(expected)
        found += expected.length
      }
      expect(found).toBeGreaterThan(NAMES.length)
    })

    test('its pages contain each match once, in the requested order', async () => {
      const column = path === '/admin/keys' ? 'name' : 'total_requests'
      for (const sort of ['', `&sort=${column}`, `&sort=-${column}`]) {
        const whole = await read(path, `limit=1000&search=a${sort}`)
        expect(whole.items.length).toBeGreaterThan(5)
        expect(whole.next_cursor).toBeNull()
        const rows: Row[] = []
        let more = ''
        do {
          const page = await read(path, `limit=2&search=a${sort}${more}`)
          rows.push(...page.items)
          more = page.next_cursor === null ? '' : `&cursor=${page.next_cursor}`
        } while (more !== '')
        expect(rows).toEqual(whole.items)
      }
    })

    test('is refused if it is empty, too long or has a NUL, and on a single row', async () => {
      const searches = ['', '%00', 'a%00b', 'x'.repeat(256)]
      const [first] = (await read(path, 'limit=1')).items
      const single = `${path}/${encodeURIComponent(idOf(first!))}`
      const urls = [...searches.map((search) => `${path}?search=${search}`), `${single}?search=a`]
      for (const url of urls) {
        const response = await service.fetch('auditor', url)
        await expectProblem(response, 400, 'invalid request')
      }
    })
  })
}

test('text that is not UTF-8 is answered with 200 or 400', async () => {
  for (const search of ['%ff', '%ED%A0%80', '%c3%28', '%zz', '%']) {
    for (const [path] of LISTS) {
      const response = await service.fetch('auditor', `${path}?search=${search}`)
      expect([200, 400]).toContain(response.status)
    }
  }
})

test('a read of the past searches the names of that time', async () => {
  const groups = '/admin/provider-groups'
  const ids = async (query: string) => (await read(groups, query)).items.map(({ id }) => id)
  const then = `as_of_position=${encodeURIComponent(before)}`
  expect(await ids('search=openai')).toEqual([3])
  expect(await ids('search=renamed')).toEqual([1])
  expect(await ids(`search=openai&${then}`)).toEqual([1, 2, 3])
  expect(await ids(`search=renamed&${then}`)).toEqual([])
  expect(await ids(`search=openai&sort=-name&${then}`)).toEqual([2, 1, 3])
})

test('ended rows are searched too if they are requested', async () => {
  const { items } = await read('/admin/provider-groups', 'search=OpenAI%20EU&ended=true')
  expect(items).toMatchObject([{ id: 2, ended_at: expect.any(String) }])
  expect((await read('/admin/provider-groups', 'search=OpenAI%20EU')).items).toEqual([])
})

test('group_id and search both apply', async () => {
  const all = (await read('/admin/api-keys', 'search=a')).items
  const found = (await read('/admin/api-keys', 'search=a&group_id=2')).items
  expect(found.length).toBeGreaterThan(0)
  expect(found).toEqual(all.filter((row) => (row as { group_id?: number }).group_id === 2))
})
