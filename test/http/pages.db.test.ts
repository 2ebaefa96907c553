import { beforeAll, describe, expect, test } from 'bun:test'
import { expectProblem } from '../support/problem.ts'
import { useService } from '../support/service.ts'

// Keyset pages contain each row once, in the requested order.

const ROWS = 250

type Row = Record<string, number | string | null>
type Page = { items: Row[]; next_cursor: string | null }

const RATED = [
  'id',
  'name',
  'total_requests',
  'success_requests',
  'failure_requests',
  'success_rate',
  'failure_rate',
]
const LISTS: [path: string, id: string, columns: string[]][] = [
  ['/admin/provider-groups', 'id', RATED],
  ['/admin/api-keys', 'id', RATED],
  [
    '/admin/keys',
    'token_hash',
    [
      'token_hash',
      'name',
      'request_count',
      'used_tokens',
      'quota_limit',
      'quota_used',
      'last_accessed_at',
    ],
  ],
]

const service = useService()

beforeAll(async () => {
  const ids = Array.from({ length: ROWS }, (_, i) => i + 1)
  const hashOf = (id: number) => `hash-${String((id * 7_919) % 1_000).padStart(3, '0')}`
  // Many rows share a value of every column, so that the id decides.
  const nameOf = (id: number) => (id % 3 === 0 ? null : `name-${id % 10}`)
  await service.putCatalog({
    provider_groups: ids.map((id) => ({ id, name: nameOf(id) })),
    api_keys: ids.map((id) => ({ id, group_id: id, name: nameOf(id) })),
    keys: ids.map((id) => ({
      token_hash: hashOf(id),
      quota_limit: (id % 5) - 1,
      name: nameOf(id),
    })),
  })
  for (const part of [0, 1, 2, 3]) {
    const posted = ids.filter((id) => id % 4 === part && id % 11 > 0)
    await service.post('/internal/apikey-stats/flush', {
      keys: posted.map((id) => ({
        api_key_id: id,
        requests: id % 17,
        success_requests: (id % 17) >> 1,
      })),
    })
    await service.post('/internal/stats/flush', {
      keys: posted.map((id) => ({
        token_hash: hashOf(id),
        requests: id % 13,
        tokens: id % 7,
        last_accessed_at: id % 6,
      })),
    })
  }
})

async function readPages(path: string, query: string, limit: number): Promise<Row[]> {
  const rows: Row[] = []
  let cursor: string | null = null
  do {
    const more = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page: Page = await service.read(`${path}?limit=${limit}&${query}${more}`)
    if (page.next_cursor !== null) expect(page.items).toHaveLength(limit)
    rows.push(...page.items)
    cursor = page.next_cursor
    expect(rows.length).toBeLessThanOrEqual(ROWS)
  } while (cursor !== null)
  return rows
}

/** Sorts naively: by the column, then by the id, with missing values first. */
function sorted(rows: Row[], column: string, id: string, descending: boolean): Row[] {
  const compare = (a: Row, b: Row, field: string) => {
    const [x, y] = [a[field] ?? '', b[field] ?? '']
    return x === y ? 0 : x < y ? -1 : 1
  }
  const list = rows.toSorted((a, b) => compare(a, b, column) || compare(a, b, id))
  return descending ? list.reverse() : list
}

for (const [path, id, columns] of LISTS) {
  describe(path, () => {
    for (const column of columns) {
      for (const sort of [column, `-${column}`]) {
        test(`pages by ${sort} contain each row once, in order`, async () => {
          const all = await service.read<Page>(`${path}?limit=1000`)
          expect(all.items).toHaveLength(ROWS)
          expect(all.next_cursor).toBeNull()
          const expected = sorted(all.items, column, id, sort !== column)
          expect(await readPages(path, `sort=${sort}`, 37)).toEqual(expected)
        })
      }
    }

    test('pages of all rows and of exactly half of them end where the list does', async () => {
      const query = `sort=-${columns[2]!}`
      expect(await readPages(path, query, ROWS)).toHaveLength(ROWS)
      expect(await readPages(path, query, ROWS / 2)).toEqual(await readPages(path, query, ROWS))
    })

    test('a cursor of another order or with invalid contents is refused', async () => {
      const { next_cursor } = await service.read<Page>(`${path}?limit=1&sort=name`)
      const encode = (text: string) => Buffer.from(text).toString('base64url')
      const queries = [
        `limit=1&cursor=${next_cursor}`,
        `limit=1&sort=-name&cursor=${next_cursor}`,
        'cursor=',
        'cursor=nonsense',
        'cursor=%00',
        `cursor=${next_cursor}x`,
        ...['[]', '["name"]', '["name",1,2]', '["name","a"]', '{}', 'null', '"x"'].map(
          (text) => `sort=name&cursor=${encode(text)}`,
        ),
        `sort=name&cursor=${encode('["name","\\u0000","1"]')}`,
        `sort=name&cursor=${encode('["name","\\ud800","\\ud800"]')}`,
        `sort=${columns[2]}&cursor=${encode(`["${columns[2]}","1e999","1"]`)}`,
        `sort=${columns[2]}&cursor=${encode(`["${columns[2]}","NaN","x\\u0000"]`)}`,
        `sort=-${id}&cursor=${encode(`["-${id}","x\\u0000","99999999999999999999"]`)}`,
      ]
      for (const query of queries) {
        const response = await service.fetch('admin', `${path}?${query}`)
        await expectProblem(response, 400, 'invalid query')
      }
    })

    test('a query parameter or value that the contract lacks is refused', async () => {
      const queries = ['nonsense=1', 'as_of=nonsense', 'Limit=1', 'consistency=strong', 'ended=no']
      const values = ['limit=0', 'limit=1001', 'limit=-1', 'limit=1.5', 'limit=', 'sort=ended_at']
      for (const query of [...queries, ...values, 'sort=', 'sort=--id', 'sort=id;drop']) {
        const response = await service.fetch('admin', `${path}?${query}`)
        await expectProblem(response, 400, 'invalid request')
      }
    })
  })
}
