import { expect, test } from 'bun:test'
import { positionOf } from '../support/events.ts'
import { useService } from '../support/service.ts'

// Balances and adoptions of very many rows are parsed on another thread, and folded in parts.

const ROWS = 20_000

const service = useService()
const hash = (i: number) => `${String(i).padStart(6, '0')}-${'x'.repeat(40)}`

test('balances of 20,000 token keys are opened, counted and reversed as a whole', async () => {
  const rows = Array.from({ length: ROWS }, (_, i) => ({ token_hash: hash(i) }))
  expect((await service.putCatalog({ keys: rows })).status).toBe(200)
  const balances = {
    ...{ as_of: '2026-01-31T12:00:00Z', origin: { system: 'old' } },
    keys: rows.map((row, i) => ({ ...row, request_count: i, used_tokens: 2 * i, quota_used: 1 })),
  }
  const open = (body: unknown, key: string) =>
    service.fetch('admin', '/admin/balances', {
      method: 'POST',
      headers: { 'idempotency-key': key },
      body: JSON.stringify(body),
    })
  const opened = await open(balances, 'many')
  expect(opened.status).toBe(201)
  expect(await opened.json()).toMatchObject({ keys: ROWS })
  expect(await (await open(balances, 'many')).json()).toMatchObject({ keys: ROWS })
  expect((await open({ ...balances, as_of: 'never' }, 'invalid')).status).toBe(400)
  for (const i of [0, 1, ROWS - 1]) {
    expect(await service.read(`/admin/keys/${hash(i)}`)).toMatchObject({
      ...{ request_count: i, used_tokens: 2 * i, quota_used: 1 },
    })
  }
  const reverse = { reverse: positionOf(opened), reason: 'another system' }
  await service.act('/admin/corrections', reverse)
  const { items } = await service.read<{ items: { used_tokens: number }[] }>(
    '/admin/keys?sort=-used_tokens&limit=1',
  )
  expect(items[0]!.used_tokens).toBe(0)
  expect((await open(balances, 'again')).status).toBe(201)
})

test('20,000 unknown keys of a flush are adopted and reversed as a whole', async () => {
  const names = Array.from({ length: ROWS }, (_, i) => `sk-${hash(i)}`)
  const posted = await service.post('/internal/apikey-stats/flush', {
    keys: names.map((api_key, i) => ({ api_key, requests: 1 + i })),
  })
  expect(posted.status).toBe(200)
  const requests = (ROWS * (ROWS + 1)) / 2
  const adopt = async (rows: object[]) => {
    const response = await service.fetch('admin', '/admin/unknown-keys/adopt', {
      method: 'POST',
      body: JSON.stringify({ api_keys: rows }),
    })
    return { status: response.status, ...((await response.json()) as object) }
  }
  const rows = names.map((external_id) => ({ external_id }))
  expect(await adopt([...rows, { group_id: 1 }])).toMatchObject({ status: 400 })
  expect(await adopt(rows)).toMatchObject({ status: 200, api_keys: ROWS, requests })
  expect(await adopt(rows)).toMatchObject({ status: 200, api_keys: 0, requests: 0 })
  const last = `/admin/api-keys/ext:${names.at(-1)}`
  expect(await service.read(last)).toMatchObject({ total_requests: ROWS })
  await service.act('/admin/corrections', { reverse: positionOf(posted), reason: 'another system' })
  expect(await service.read(last)).toMatchObject({ total_requests: 0 })
})
