import { expect, test } from 'bun:test'
import { expectProblem } from '../support/problem.ts'
import { TOKENS, useService } from '../support/service.ts'
import { fetchWith, postSession, signIn } from '../support/sessions.ts'

// Requests that the page of another site makes a browser send, with its cookie.

const SUMMARY = '/admin/apikey-stats/summary'

const service = useService({ bodyLimitBytes: 4_096 })

const statusWith = async (cookie: string, path = SUMMARY, through = service) =>
  (await fetchWith(through, cookie, path)).status

const countSessions = async () => {
  const [row] = await service.database.owner`select count(*)::integer as count from sessions`
  return row!.count as number
}

const elsewhere = (): Record<string, string>[] => {
  const { port } = new URL(service.url)
  const own = { origin: service.url }
  return [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
    { 'sec-fetch-site': '' },
    { 'sec-fetch-site': 'cross-site', ...own },
    { 'sec-fetch-site': 'same-site', ...own },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: '' },
    { origin: 'nonsense' },
    { origin: `http://localhost:${port}` },
    { origin: `http://127.0.0.1:${Number(port) + 1}` },
    { origin: `http://127.0.0.1.evil.example:${port}` },
    { origin: `http://evil.example/${new URL(service.url).host}` },
  ]
}

test('a cross-site write with a cookie gets 403 before anything else is checked', async () => {
  const cookie = await signIn(service, TOKENS.admin)
  const [before] = await service.database.owner`select count(*) from events`
  for (const headers of elsewhere()) {
    for (const [method, path, body] of [
      ['PUT', '/admin/catalog', '{"api_keys":[{"id":77}]}'],
      ['PUT', '/admin/catalog', '{'],
      ['DELETE', '/admin/api-keys/1'],
      ['POST', '/admin/tokens', '{"name":"evil","role":"admin"}'],
      ['DELETE', '/session'],
    ] as const) {
      const init = { method, headers, ...(body === undefined ? {} : { body }) }
      const response = await fetchWith(service, cookie, path, init)
      expect([headers, path, response.status]).toEqual([headers, path, 403])
      await expectProblem(response, 403, 'forbidden')
      expect(response.headers.get('set-cookie')).toBeNull()
    }
  }
  const [after] = await service.database.owner`select count(*) from events`
  expect(after).toEqual(before!)
  expect(await statusWith(cookie)).toBe(200)
})

test('a cross-site sign-in is refused', async () => {
  const before = await countSessions()
  for (const headers of elsewhere()) {
    const response = await postSession(service, TOKENS.admin, headers)
    expect([headers, response.status]).toEqual([headers, 403])
    await expectProblem(response, 403, 'forbidden')
    expect(response.headers.get('set-cookie')).toBeNull()
  }
  expect(await countSessions()).toBe(before)
})

test('a cross-site read has no CORS header, so that the browser withholds the answer', async () => {
  const cookie = await signIn(service, TOKENS.admin)
  for (const headers of elsewhere()) {
    const response = await fetchWith(service, cookie, SUMMARY, { headers })
    expect(response.status).toBe(200)
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
    const init = { method: 'OPTIONS', headers }
    const preflight = await fetchWith(service, cookie, '/admin/catalog', init)
    expect(preflight.status).toBe(405)
    expect(preflight.headers.get('access-control-allow-origin')).toBeNull()
  }
})

test('a cross-site request with a token is accepted: no browser adds one by itself', async () => {
  for (const headers of elsewhere()) {
    const init = { method: 'PUT', headers, body: '{"api_keys":[]}' }
    expect((await service.fetch('admin', '/admin/catalog', init)).status).toBe(200)
  }
})
