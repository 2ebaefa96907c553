import { expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import { expectProblem } from '../support/problem.ts'
import { startTestService, type TestService, useInstances } from '../support/service.ts'
import { soon } from '../support/sessions.ts'

const [service, other] = useInstances()

type Made = { name: string; role: string; token: string; created_at: string }

const create = (body: unknown) =>
  service.fetch('admin', '/admin/tokens', { method: 'POST', body: JSON.stringify(body) })

async function make(name: string, role: string): Promise<Made> {
  const response = await create({ name, role })
  expect(response.status).toBe(201)
  expect(response.headers.get('cache-control')).toBe('no-store')
  return (await response.json()) as Made
}

const revoke = (name: string) =>
  service.fetch('admin', `/admin/tokens/${name}`, { method: 'DELETE' })

const summaryAs = async ({ url }: TestService, token: string) => {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(`${url}/admin/apikey-stats/summary`, { headers })).status
}

test('a created token is accepted at once here, and soon by every instance', async () => {
  const { token } = await make('reader', 'auditor')
  expect(await summaryAs(service, token)).toBe(200)
  expect(await soon(200, () => summaryAs(other, token))).toBe(200)
})

test('a revoked token is refused at once here, and soon by every instance', async () => {
  const { token } = await make('gone', 'auditor')
  expect(await soon(200, () => summaryAs(other, token))).toBe(200)
  expect((await revoke('gone')).status).toBe(204)
  expect(await summaryAs(service, token)).toBe(401)
  expect(await soon(401, () => summaryAs(other, token))).toBe(401)
  expect((await revoke('gone')).status).toBe(404)
})

test('a token may do what its role may, and its name is the source of its events', async () => {
  const { token } = await make('proxy-eu-1', 'dp')
  expect(await summaryAs(service, token)).toBe(403)
  const response = await fetch(`${service.url}/internal/apikey-stats/flush`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: '{"keys":[{"api_key_id":1,"requests":1}]}',
  })
  expect(response.status).toBe(200)
  const rows = await service.database.owner`
    select distinct source from events where type = 'ApiKeyStatsFlushed'`
  expect([...rows]).toEqual([{ source: 'proxy-eu-1' }])
})

test('a name is never used again, and the names of the fixed tokens are reserved', async () => {
  await make('once', 'dp')
  for (const name of ['once', 'dp', 'admin', 'auditor']) {
    await expectProblem(await create({ name, role: 'dp' }), 409, 'name taken')
  }
  await revoke('once')
  await expectProblem(await create({ name: 'once', role: 'admin' }), 409, 'name taken')
})

test.each([
  [{}],
  [[]],
  [null],
  [{ name: 'x' }],
  [{ role: 'dp' }],
  [{ name: 'x', role: 'root' }],
  [{ name: '', role: 'dp' }],
  [{ name: 'Upper', role: 'dp' }],
  [{ name: '-x', role: 'dp' }],
  [{ name: 'a\nb', role: 'dp' }],
  [{ name: 'a\0', role: 'dp' }],
  [{ name: "x'; drop table tokens; --", role: 'dp' }],
  [{ name: 'x'.repeat(64), role: 'dp' }],
  [{ name: 7, role: 'dp' }],
])('%p creates no token', async (body) => {
  const response = await create(body)
  await expectProblem(response, 400, 'invalid token')
})

test('neither the list nor the database contains the text of a token', async () => {
  const { token, ...made } = await make('secret', 'admin')
  const response = await service.fetch('auditor', '/admin/tokens')
  const text = await response.text()
  expect(JSON.parse(text)).toMatchObject({
    items: expect.arrayContaining([{ ...made, revoked_at: null }]),
  })
  expect(text).not.toContain(token)
  const [row] = await service.database.owner`
    select encode(token_sha256, 'hex') as sha256, to_jsonb(t)::text as text
    from tokens t
    where name = 'secret'`
  expect(row!.sha256).toBe(hash('sha256', token, 'hex'))
  expect(row!.text).not.toContain(token)
})

test('a client that sends many unknown tokens gets 429, and known tokens still work', async () => {
  const [{ token: known }, { token: silent }] = [
    await make('known', 'auditor'),
    await make('silent', 'auditor'),
  ]
  const guarded = await startTestService({ database: service.database, unknownTokens: 5 })
  try {
    expect(await summaryAs(guarded, known)).toBe(200)
    expect((await guarded.fetch('auditor', '/admin/projections')).status).toBe(200)
    for (let guess = 0; guess < 5; guess++) {
      expect(await summaryAs(guarded, `guess-${guess}`)).toBe(401)
    }
    expect(await summaryAs(guarded, 'guess-5')).toBe(429)
    // A valid fixed token is refused too, or the answer would reveal a correct guess.
    expect((await guarded.fetch('admin', '/admin/projections')).status).toBe(429)
    // A created token is accepted, because no one can guess it.
    expect(await summaryAs(guarded, silent)).toBe(200)
    expect(await summaryAs(guarded, known)).toBe(200)
    expect((await guarded.fetch('auditor', '/admin/projections')).status).toBe(200)
    expect((await guarded.fetch(null, '/admin/projections')).status).toBe(401)
    expect((await guarded.fetch(null, '/health/live')).status).toBe(200)
  } finally {
    await guarded.stop()
  }
})
