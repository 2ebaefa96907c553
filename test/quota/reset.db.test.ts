import { describe, expect, test } from 'bun:test'
import { verifyDatabase } from '../../src/proofs/integrity/verify.ts'
import { auditService, untilSigned } from '../proofs/verifier/audited.ts'
import { positionOf } from '../support/events.ts'
import { expectProblem } from '../support/problem.ts'
import { useInstances } from '../support/service.ts'

// Resets of quotas, with two instances on one database.

const [service, other] = useInstances()

type Row = { request_count: number; used_tokens: number; quota_used: number }
type Step = {
  shard: number
  position: number
  type: string
  counted: { quota_used: number; tokens: number }
  running: { quota_used: number }
}

let made = 0
/** Adds a key with a limit, and perhaps a period. */
async function makeKey(quota_period = 'none'): Promise<string> {
  const token_hash = `key-${++made}`
  await service.putCatalog({ keys: [{ token_hash, quota_limit: 1_000, quota_period }] })
  return token_hash
}
const flush = async (token_hash: string, tokens: number, on = service) =>
  positionOf(
    await on.post('/internal/stats/flush', { keys: [{ token_hash, requests: 1, tokens }] }),
  )
const send = (hash: string, body: unknown, headers = {}, on = service) =>
  on.fetch('admin', `/admin/keys/${encodeURIComponent(hash)}/quota-reset`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  })
const reset = async (hash: string, on = service) => {
  const response = await send(hash, { reason: 'new contract' }, {}, on)
  expect(response.status).toBe(201)
  return ((await response.json()) as { position: string }).position
}
const used = async (hash: string, query = '', on = service) => {
  const row = await on.read<Row>(`/admin/keys/${hash}${query}`)
  return [row.used_tokens, row.quota_used]
}
const correct = (body: object) =>
  service.act('/admin/corrections', { reason: 'posted twice', ...body })

describe.each(['none', 'day', 'month'])('with the period %s, a reset', (period) => {
  test('makes the quota count from 0, and changes no tokens, usage or past', async () => {
    const key = await makeKey(period)
    await flush(key, 30)
    await flush(key, 40, other)
    const before = positionOf(await service.fetch('admin', `/admin/keys/${key}`))
    expect(await used(key)).toEqual([70, 70])
    const position = await reset(key, other)
    expect(await used(key)).toEqual([70, 0])
    expect(await used(key, `?as_of_position=${before}`)).toEqual([70, 70])
    await flush(key, 5)
    expect(await used(key, '', other)).toEqual([75, 5])
    const { items } = await service.read<{ items: Step[] }>(`/audit/explain?token_hash=${key}`)
    const found = items.find(({ type }) => type === 'QuotaReset')!
    expect(`${found.shard}/${found.position}`).toBe(position)
    expect(found).toMatchObject({
      counted: { tokens: 0, quota_used: -70 },
      running: { quota_used: 0 },
    })
    const usage = await service.read<{ total: Row }>(`/admin/usage?token_hash=${key}`)
    expect(usage.total).toMatchObject({ used_tokens: 75, quota_used: 75 })
    const { payload } = await service.read<{ payload: { keys: object; through: string } }>(
      `/audit/events/${position}`,
    )
    expect(payload).toMatchObject({
      reason: 'new contract',
      keys: { hashes: [key], requests: [0], tokens: [0], quota_used: [70] },
    })
    // Its positions are those through which it counted.
    expect(await used(key, `?as_of_position=${payload.through}`)).toEqual([70, 70])
  })

  test('leaves nothing for a reversal of what came before it to give back', async () => {
    const key = await makeKey(period)
    const first = await flush(key, 30)
    const adjusted = await correct({
      adjust: {
        keys: [{ token_hash: key, request_count: 0, used_tokens: 0, quota_used: 7 }],
      },
    })
    const opened = await service.act('/admin/balances', {
      ...{ as_of: new Date().toISOString(), origin: { system: 'old' } },
      keys: [{ token_hash: key, request_count: 1, used_tokens: 20, quota_used: 20 }],
    })
    await reset(key)
    const second = await flush(key, 11)
    expect(await used(key)).toEqual([61, 11])
    await correct({ reverse: first })
    expect(await used(key)).toEqual([31, 11])
    await correct({ reverse: adjusted })
    await correct({ reverse: opened })
    expect(await used(key)).toEqual([11, 11])
    await correct({ reverse: second })
    expect(await used(key)).toEqual([0, 0])
  })

  test('of a key that has nothing, or was reset before, takes nothing away', async () => {
    const key = await makeKey(period)
    await reset(key)
    await flush(key, 9)
    await reset(key)
    await reset(key)
    expect(await used(key)).toEqual([9, 0])
    await flush(key, 4)
    expect(await used(key)).toEqual([13, 4])
  })
})

test('after a reset, another period shows no less than what came since', async () => {
  const key = await makeKey('none')
  await flush(key, 100)
  await reset(key)
  await flush(key, 3)
  for (const quota_period of ['day', 'week', 'month', 'none']) {
    await service.putCatalog({ keys: [{ token_hash: key, quota_period }] })
    expect(await used(key)).toEqual([103, 3])
  }
})

test('adjustments and openings after a reset count', async () => {
  const key = await makeKey('month')
  await flush(key, 100)
  await reset(key)
  await correct({
    adjust: { keys: [{ token_hash: key, request_count: 0, used_tokens: 0, quota_used: 8 }] },
  })
  expect(await used(key)).toEqual([100, 8])
  // An opening balance of long ago counts towards no period of today, but without one it does.
  await service.act('/admin/balances', {
    ...{ as_of: '2020-01-01T00:00:00Z', origin: { system: 'old' } },
    keys: [{ token_hash: key, request_count: 1, used_tokens: 20, quota_used: 20 }],
  })
  expect(await used(key)).toEqual([120, 8])
  await service.putCatalog({ keys: [{ token_hash: key, quota_period: 'none' }] })
  expect(await used(key)).toEqual([120, 28])
})

test('two admins who reset at once, and flushes meanwhile, lose nothing', async () => {
  const key = await makeKey('day')
  for (let round = 0; round < 5; round++) {
    const work = [
      ...Array.from({ length: 3 }, () => reset(key, service)),
      ...Array.from({ length: 3 }, () => reset(key, other)),
      ...Array.from({ length: 10 }, (_, i) => flush(key, 1, i % 2 === 0 ? service : other)),
    ]
    await Promise.all(work)
  }
  const [tokens, quota] = await used(key)
  expect(tokens).toBe(50)
  // What is left are the flushes after the last reset.
  const { items } = await service.read<{ items: Step[] }>(
    `/audit/explain?token_hash=${key}&limit=1000`,
  )
  const taken = items
    .filter(({ type }) => type === 'QuotaReset')
    .reduce((sum, { counted }) => sum - counted.quota_used, 0)
  expect(taken + quota!).toBe(50)
  await reset(key)
  expect(await used(key)).toEqual([50, 0])
})

test('a repeated request with the same Idempotency-Key resets once', async () => {
  const key = await makeKey()
  await flush(key, 10)
  const headers = { 'idempotency-key': 'once' }
  const first = await send(key, { reason: 'new' }, headers)
  await flush(key, 4)
  const again = await send(key, { reason: 'new' }, headers, other)
  expect([first.status, again.status]).toEqual([201, 201])
  expect(await again.json()).toEqual(await first.json())
  expect(again.headers.get('idempotency-replayed')).toBe('true')
  expect(await used(key)).toEqual([14, 4])
  const reused = await send(key, { reason: 'another' }, headers)
  await expectProblem(reused, 422, 'idempotency key reused')
  const elsewhere = await send(await makeKey(), { reason: 'new' }, headers)
  await expectProblem(elsewhere, 422, 'idempotency key reused')
})

test('what is invalid or not allowed is refused', async () => {
  const key = await makeKey()
  for (const body of [{}, { reason: '' }, { reason: 'a'.repeat(501) }, { reason: 'x', more: 1 }]) {
    await expectProblem(await send(key, body), 400, 'invalid quota reset')
  }
  await expectProblem(await send('nobody', { reason: 'x' }), 404, 'not found')
  const asDp = await service.fetch('dp', `/admin/keys/${key}/quota-reset`, { method: 'POST' })
  await expectProblem(asDp, 403, 'forbidden')
  const position = await reset(key)
  const reversal = await service.fetch('admin', '/admin/corrections', {
    method: 'POST',
    body: JSON.stringify({ reverse: position, reason: 'wrong' }),
  })
  await expectProblem(reversal, 422, 'counts nothing')
  const { items } = await service.read<{ items: { position: string }[] }>('/admin/corrections')
  expect(items.map((item) => item.position)).not.toContain(position)
})

test('audits, attestations and integrity checks agree with it all', async () => {
  await service.fetch('admin', '/admin/attestations', { method: 'POST' })
  await untilSigned(service)
  expect((await auditService(service)).findings).toEqual([])
  const signal = new AbortController().signal
  const { first } = await verifyDatabase(service.database.address, { signal, onProgress: () => {} })
  expect(first).toEqual([])
})
