import { beforeAll, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { useService } from '../support/service.ts'

type ApiKey = { id: number; group_id: number }
type Group = { id: number }
type Key = { token_hash: string }
/** Rows that are not zero. */
type Counted = { api_keys: ApiKey[]; provider_groups: Group[]; keys: Key[] }
type Catalog = Counted

/** A case recorded from the handler that this service replaces; see docs/reference/contract.md. */
type SeedCase = {
  name: string
  path: string
  content_type: string | null
  body: string
  status: number
  response: Record<string, unknown>
  counted: Counted
}

const fixture = (name: string) => readFileSync(join(import.meta.dir, '../fixtures', name), 'utf8')
const catalog = JSON.parse(fixture('seed-catalog.json')) as Catalog
const cases = fixture('seed-cases.jsonl')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as SeedCase)

// One service for all cases. A case that counts nothing is posted as recorded, to the recorded
// catalog, whose rows stay zero throughout. A case that counts gets its own copy of the catalog,
// and the ids and hashes of its body are mapped to that copy; the rest of the body is unchanged.
// After each case all rows are compared, so that nothing can be counted anywhere else.

const service = useService()
const counts = ({ counted }: SeedCase) => Object.values(counted).some((rows) => rows.length > 0)
const copies = new Map(cases.filter(counts).map((seed, i) => [seed, i + 1]))

/** The rows after the previous cases. */
let before: Counted = { api_keys: [], provider_groups: [], keys: [] }

beforeAll(async () => {
  const all = [catalog, ...[...copies.values()].map((copy) => moveRows(catalog, copy))]
  const whole = {
    provider_groups: all.flatMap(({ provider_groups }) => provider_groups),
    api_keys: all.flatMap(({ api_keys }) => api_keys),
    keys: all.flatMap(({ keys }) => keys),
  }
  expect((await service.putCatalog(whole)).status).toBe(200)
})

for (const seed of cases) {
  test(`${seed.name} is answered and counted as recorded`, async () => {
    const copy = copies.get(seed)
    const headers = seed.content_type === null ? {} : { 'content-type': seed.content_type }
    // Bytes, so that fetch adds no Content-Type if none was recorded.
    const body = new TextEncoder().encode(copy ? moveBody(seed.body, copy) : seed.body)
    const response = await service.fetch('dp', seed.path, { method: 'POST', headers, body })
    const answer = (await response.json()) as Record<string, unknown>
    const expected = addRows(before, copy ? moveRows(seed.counted, copy) : seed.counted)
    before = await readCounted()
    expect(response.status).toBe(seed.status)
    expect(pick(answer, Object.keys(seed.response))).toEqual(seed.response)
    expect(before).toEqual(expected)
  })
}

test('all recorded cases are present', () => {
  expect(cases.length).toBe(163)
})

/** The offset of the ids of each copy; no recorded id is as high. */
const COPY_IDS = 10_000

/** Group 0 means no group. */
const moveId = (id: number, copy: number) => (id === 0 ? 0 : id + copy * COPY_IDS)

/** Replaces the last digits, because one body has the first as an escape. */
const moveHash = (hash: string, copy: number) =>
  `${hash.slice(0, -4)}${copy.toString(16).padStart(4, '0')}`

function moveRows(rows: Counted, copy: number): Counted {
  return {
    provider_groups: rows.provider_groups.map((row) => ({ ...row, id: moveId(row.id, copy) })),
    api_keys: rows.api_keys.map((row) => ({
      ...row,
      id: moveId(row.id, copy),
      group_id: moveId(row.group_id, copy),
    })),
    keys: rows.keys.map((row) => ({ ...row, token_hash: moveHash(row.token_hash, copy) })),
  }
}

function moveBody(body: string, copy: number): string {
  const moved = body.replace(
    /"api_key_id":(\d+)/g,
    (_, id: string) => `"api_key_id":${moveId(Number(id), copy)}`,
  )
  return catalog.keys.reduce(
    (text, { token_hash: hash }) => text.replaceAll(hash.slice(1), moveHash(hash, copy).slice(1)),
    moved,
  )
}

const addRows = (a: Counted, b: Counted): Counted => ({
  provider_groups: [...a.provider_groups, ...b.provider_groups].sort(byId),
  api_keys: [...a.api_keys, ...b.api_keys].sort(byId),
  keys: [...a.keys, ...b.keys].sort((a, b) => (a.token_hash < b.token_hash ? -1 : 1)),
})

const byId = (a: { id: number }, b: { id: number }) => a.id - b.id

/** Returns the rows that are not zero, in the recorded form. */
async function readCounted(): Promise<Counted> {
  const [groups, apiKeys, keys] = await Promise.all([
    readRows('provider-groups'),
    readRows('api-keys'),
    readRows('keys'),
  ])
  return {
    provider_groups: groups.filter((row) => row.total_requests !== 0) as Group[],
    api_keys: apiKeys.filter((row) => row.total_requests !== 0) as ApiKey[],
    keys: keys.filter(
      (row) => row.request_count || row.used_tokens || row.quota_used || row.last_accessed_at,
    ) as Key[],
  }
}

async function readRows(list: string): Promise<Record<string, unknown>[]> {
  type Page = { items: Record<string, unknown>[]; next_cursor: string | null }
  const { items, next_cursor } = await service.read<Page>(`/admin/${list}?limit=1000`)
  expect(next_cursor).toBeNull()
  return items.map(({ name: _, external_id: __, ...row }) => row)
}

function pick(object: Record<string, unknown>, fields: string[]): Record<string, unknown> {
  return Object.fromEntries(fields.map((field) => [field, object[field]]))
}
