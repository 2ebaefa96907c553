import { expect, test } from 'bun:test'
import { useService } from '../support/service.ts'

// The longest values and names that are accepted: 64 characters of four bytes, which nothing
// compresses. An index of the database would refuse them all together.

const service = useService()

const NAMES = Array.from({ length: 8 }, (_, i) => `d${i}`.padEnd(64, 'x'))

/** Characters that no compression shortens. */
function characters(length: number, seed: number): string {
  let state = seed
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return String.fromCodePoint(0x20000 + ((state >> 8) % 0xa000))
  }).join('')
}

const put = (path: string, body: object) =>
  service.fetch('admin', path, { method: 'PUT', body: JSON.stringify(body) })

test('usage by the longest values of all dimensions is read', async () => {
  const token_hash = characters(127, 1)
  const dimensions = Object.fromEntries(NAMES.map((name, i) => [name, characters(64, i + 2)]))
  const catalog = {
    ...{
      api_keys: [{ id: 1, group_id: 0, name: null }],
      keys: [{ token_hash, quota_limit: -1, name: null }],
    },
    dimensions: NAMES.map((name) => ({ name })),
  }
  expect((await put('/admin/catalog', catalog)).status).toBe(200)
  for (const [path, key] of [
    ['/internal/apikey-stats/flush', { api_key_id: 1 }],
    ['/internal/stats/flush', { token_hash }],
  ] as const) {
    const keys = [{ ...key, requests: 1, dimensions }]
    expect((await service.post(path, { keys })).status).toBe(200)
  }
  const range = new URLSearchParams({ by: NAMES[0]!, token_hash })
  const response = await service.fetch('admin', `/admin/breakdown?${range}`)
  expect(await response.json()).toMatchObject({
    items: [{ dimensions: { [NAMES[0]!]: dimensions[NAMES[0]!] }, request_count: 1 }],
  })
})
