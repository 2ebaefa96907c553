import { expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import { startMeter } from '../support/meter.ts'
import { startTestService, TOKENS, useInstances } from '../support/service.ts'
import {
  fetchWith,
  makeToken,
  postSession,
  revokeToken,
  signIn,
  soon,
} from '../support/sessions.ts'

// Sessions of the console: a cookie that stands in for a token.

const SUMMARY = '/admin/apikey-stats/summary'

const [service, other] = useInstances({ bodyLimitBytes: 4_096 })

const statusWith = async (cookie: string, path = SUMMARY, through = service) =>
  (await fetchWith(through, cookie, path)).status

const signOut = (cookie: string, headers = {}) =>
  fetchWith(service, cookie, '/session', { method: 'DELETE', headers })

test('a session stands in for its token on every instance', async () => {
  const cookie = await signIn(service, TOKENS.auditor)
  for (const through of [service, other]) {
    for (const path of [SUMMARY, '/admin/keys', '/audit/events', '/admin/tokens', '/session']) {
      expect([path, await statusWith(cookie, path, through)]).toEqual([path, 200])
    }
  }
  // The cookie may be anywhere among others.
  for (const cookies of [`a=b; ${cookie}`, `${cookie};c=d`, `x="tallybook_session"; ${cookie}`]) {
    expect(await statusWith(cookies)).toBe(200)
  }
})

test('a session of an admin can change the catalog, with its token as the source', async () => {
  const token = await makeToken(service, 'anna', 'admin')
  const cookie = await signIn(service, token)
  const { host } = new URL(service.url)
  const pages = [{ 'sec-fetch-site': 'same-origin' }, { origin: `http://${host}` }, {}]
  for (const [i, headers] of (pages as Record<string, string>[]).entries()) {
    const init = { method: 'PUT', headers, body: JSON.stringify({ api_keys: [{ id: i + 1 }] }) }
    expect((await fetchWith(service, cookie, '/admin/catalog', init)).status).toBe(200)
  }
  const rows = await service.database.owner`
    select distinct source from events where type = 'CatalogChanged'`
  expect([...rows]).toEqual([{ source: 'anna' }])
})

test('a write in a session of an auditor is refused before the body is read', async () => {
  const cookie = await signIn(service, TOKENS.auditor)
  const bodies = ['{"api_keys":[{"id":9}]}', '{', 'x'.repeat(5_000)]
  for (const body of bodies) {
    const init = { method: 'PUT', body }
    expect((await fetchWith(service, cookie, '/admin/catalog', init)).status).toBe(403)
  }
  for (const path of ['/admin/tokens', '/admin/verifications', '/internal/stats/flush']) {
    const init = { method: 'POST', body: '{' }
    expect((await fetchWith(service, cookie, path, init)).status).toBe(403)
  }
})

test('an Authorization header, valid or not, takes precedence over a session', async () => {
  const cookie = await signIn(service, TOKENS.admin)
  const statusOf = async (authorization: string, cookie: string) =>
    (await fetchWith(service, cookie, SUMMARY, { headers: { authorization } })).status
  expect(await statusOf(`Bearer ${TOKENS.dp}`, cookie)).toBe(403)
  for (const header of ['Bearer unknown', 'Bearer', 'Basic eDp5', 'nonsense']) {
    expect([header, await statusOf(header, cookie)]).toEqual([header, 401])
  }
  expect(await statusOf(`Bearer ${TOKENS.auditor}`, 'tallybook_session=garbage')).toBe(200)
  const headers = { authorization: `Bearer ${TOKENS.auditor}` }
  const response = await fetchWith(service, cookie, '/session', { headers })
  expect(await response.json()).toEqual({ name: 'auditor', role: 'auditor', expires_at: null })
})

test('a session id that was never issued is refused', async () => {
  const cookie = await signIn(service, TOKENS.admin)
  const id = cookie.split('=')[1]!
  const ids = [
    ...['', 'x', '0', 'null', '""', '%00', "'", `'; drop table sessions; --`, TOKENS.admin],
    ...['A'.repeat(43), 'é'.repeat(43), `${id.slice(0, -1)}~`, `${id}A`, id.slice(1), `"${id}"`],
    ...[hash('sha256', id, 'hex'), hash('sha256', TOKENS.admin, 'hex'), 'x'.repeat(8_000)],
    ...[id.toLowerCase(), id.toUpperCase(), `%${id.slice(1)}`, `${id}=`],
  ]
  for (const wrong of ids) {
    const response = await fetchWith(service, `tallybook_session=${wrong}`, SUMMARY)
    expect([wrong, response.status]).toEqual([wrong, 401])
    expect(response.headers.get('content-type')).toBe('application/problem+json')
  }
  for (const cookies of [`tallybook_sessio=${id}`, `xtallybook_session=${id}`, id, `=${id}`]) {
    expect(await statusWith(cookies)).toBe(401)
  }
})

test('an expired session is refused everywhere and deleted by the next sign-in', async () => {
  const { owner } = service.database
  const cookie = await signIn(service, TOKENS.admin)
  const remaining = await signIn(service, TOKENS.admin)
  const id = hash('sha256', cookie.split('=')[1]!, 'hex')
  const rows = () => owner`select from sessions where id_sha256 = decode(${id}, 'hex')`
  await owner`
    update sessions set expires_at = now() - interval '1 second'
    where id_sha256 = decode(${id}, 'hex')`
  for (const through of [service, other]) {
    expect(await statusWith(cookie, SUMMARY, through)).toBe(401)
    expect(await statusWith(remaining, SUMMARY, through)).toBe(200)
  }
  expect(await rows()).toHaveLength(1)
  await signIn(service, TOKENS.auditor)
  expect(await rows()).toHaveLength(0)
  expect(await statusWith(remaining)).toBe(200)
})

test('revoking a token ends its sessions: here at once, soon on other instances', async () => {
  const token = await makeToken(service, 'passing', 'admin')
  const cookie = await signIn(service, token)
  expect(await soon(200, () => statusWith(cookie, SUMMARY, other))).toBe(200)
  expect((await revokeToken(service, 'passing')).status).toBe(204)
  expect(await statusWith(cookie)).toBe(401)
  expect(await soon(401, () => statusWith(cookie, SUMMARY, other))).toBe(401)
  expect((await postSession(service, token)).status).toBe(401)
})

test('signing out ends the session on every instance, and no other session', async () => {
  const cookie = await signIn(service, TOKENS.admin)
  const remaining = await signIn(service, TOKENS.admin)
  const response = await signOut(cookie)
  expect(response.status).toBe(204)
  expect(response.headers.get('set-cookie')).toBe(
    'tallybook_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict',
  )
  for (const through of [service, other]) {
    expect(await statusWith(cookie, SUMMARY, through)).toBe(401)
    expect(await statusWith(remaining, SUMMARY, through)).toBe(200)
  }
  // Signing out twice, without a session, and with an unknown one.
  for (const again of [cookie, 'a=b', 'tallybook_session=x']) {
    expect((await signOut(again)).status).toBe(204)
  }
  expect(await statusWith(remaining)).toBe(200)
})

test('a session gets 503 while the database is unavailable, and then works again', async () => {
  const proxy = await startMeter(service.database.address)
  const { database } = service
  const disconnected = await startTestService({ database, address: proxy.address })
  try {
    const cookie = await signIn(disconnected, TOKENS.auditor)
    await proxy.lose()
    for (const path of ['/session', SUMMARY]) {
      const response = await fetchWith(disconnected, cookie, path)
      expect(response.status).toBe(503)
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    expect((await postSession(disconnected, TOKENS.auditor)).status).toBe(503)
    expect((await fetchWith(disconnected, cookie, '/session', { method: 'DELETE' })).status).toBe(
      503,
    )
    await proxy.restore()
    const isBack = () => statusWith(cookie, '/session', disconnected)
    for (let status = await isBack(); status !== 200; status = await isBack()) {
      expect(status).toBe(503)
      await Bun.sleep(20)
    }
  } finally {
    await disconnected.stop()
    await proxy.close()
  }
})
