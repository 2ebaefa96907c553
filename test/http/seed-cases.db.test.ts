import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startTestService, type TestService } from '../support/service.ts'

/** Recorded from the handler that this service replaces; see docs/contract.md. */
type SeedCase = {
  name: string
  path: string
  content_type: string | null
  body: string
  status: number
  response: Record<string, unknown>
  counted: { api_keys: object[]; provider_groups: object[]; keys: { token_hash: string }[] }
}

const fixture = (name: string) => readFileSync(join(import.meta.dir, '../fixtures', name), 'utf8')
const catalog = JSON.parse(fixture('seed-catalog.json'))
const cases = fixture('seed-cases.jsonl')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as SeedCase)

for (const seed of cases) {
  test(`${seed.name} is answered and counted as recorded`, async () => {
    const service = await startTestService()
    try {
      await service.putCatalog(catalog)
      const headers = seed.content_type === null ? {} : { 'content-type': seed.content_type }
      // Bytes, so that no Content-Type is added where none was recorded.
      const body = new TextEncoder().encode(seed.body)
      const response = await service.fetch('dp', seed.path, { method: 'POST', headers, body })
      expect(response.status).toBe(seed.status)
      const answer = (await response.json()) as Record<string, unknown>
      expect(pick(answer, Object.keys(seed.response))).toEqual(seed.response)
      expect(await readCounted(service)).toEqual({
        ...seed.counted,
        keys: seed.counted.keys.toSorted((a, b) => (a.token_hash < b.token_hash ? -1 : 1)),
      })
    } finally {
      await service.end()
    }
  })
}

test('all recorded cases are there', () => {
  expect(cases.length).toBe(163)
})

/** The rows that are not zero, in the recorded form. */
async function readCounted(service: TestService): Promise<SeedCase['counted']> {
  type Rows = { items: Record<string, unknown>[] }
  const groups = await service.read<Rows>('/admin/provider-groups')
  const apiKeys = await service.read<Rows>('/admin/api-keys')
  const keys = await service.read<Rows>('/admin/keys')
  const unnamed = ({ name: _, ...row }: Record<string, unknown>) => row
  return {
    api_keys: apiKeys.items.filter((row) => row.total_requests !== 0).map(unnamed),
    provider_groups: groups.items.filter((row) => row.total_requests !== 0).map(unnamed),
    keys: keys.items
      .filter((row) => row.request_count || row.used_tokens || row.last_accessed_at)
      .map(unnamed) as { token_hash: string }[],
  }
}

function pick(object: Record<string, unknown>, fields: string[]): Record<string, unknown> {
  return Object.fromEntries(fields.map((field) => [field, object[field]]))
}
