import { expect, test } from 'bun:test'
import { hash } from 'node:crypto'
import { Writable } from 'node:stream'
import pino from 'pino'
import { expectProblem } from '../support/problem.ts'
import { startTestService, TOKENS, useService } from '../support/service.ts'
import { cookieOf, fetchWith, makeToken, postSession, signIn } from '../support/sessions.ts'

// POST /session: a cookie in exchange for a token.

type Session = { name: string; role: string; expires_at: string | null }

const SUMMARY = '/admin/apikey-stats/summary'
const TWELVE_HOURS_MS = 12 * 3_600_000

const service = useService()

const statusWith = async (cookie: string, path = SUMMARY, through = service) =>
  (await fetchWith(through, cookie, path)).status

const signOut = (cookie: string, headers = {}) =>
  fetchWith(service, cookie, '/session', { method: 'DELETE', headers })

const countSessions = async () => {
  const [row] = await service.database.owner`select count(*)::integer as count from sessions`
  return row!.count as number
}

test('a sign-in returns the role, and a cookie that no script or other site can use', async () => {
  const before = Date.now()
  const response = await postSession(service, TOKENS.auditor)
  expect(response.status).toBe(201)
  expect(response.headers.get('set-cookie')).toMatch(
    /^tallybook_session=[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/,
  )
  const session = (await response.json()) as Session
  expect(session).toEqual({ name: 'auditor', role: 'auditor', expires_at: expect.any(String) })
  expect(Date.parse(session.expires_at!)).toBeGreaterThanOrEqual(before + TWELVE_HOURS_MS)
  const read = await fetchWith(service, cookieOf(response), '/session')
  expect(read.status).toBe(200)
  expect(await read.json()).toEqual(session)
})

test('GET /session returns null without a cookie or with an invalid one', async () => {
  const over = await signIn(service, TOKENS.admin)
  await signOut(over)
  for (const cookie of ['', over, 'tallybook_session=x', `tallybook_session=${TOKENS.admin}`]) {
    const response = await fetchWith(service, cookie, '/session')
    expect([cookie, response.status, await response.text()]).toEqual([cookie, 200, 'null'])
    expect(response.headers.get('cache-control')).toBe('no-store')
  }
  const headers = { authorization: 'Bearer unknown' }
  expect((await service.fetch(null, '/session', { headers })).status).toBe(401)
  expect((await service.fetch('dp', '/session')).status).toBe(403)
})

test('a sign-in from an HTTPS page gets a cookie for HTTPS only', async () => {
  const { host } = new URL(service.url)
  for (const [scheme, isSecure] of [
    ['https', true],
    ['http', false],
  ] as const) {
    const headers = { origin: `${scheme}://${host}` }
    const response = await postSession(service, TOKENS.admin, headers)
    expect(response.status).toBe(201)
    const attributes = response.headers.get('set-cookie')!.split('; ')
    expect(attributes.includes('Secure')).toBe(isSecure)
    expect(attributes).toContain('HttpOnly')
    const over = await signOut(cookieOf(response), headers)
    expect(over.headers.get('set-cookie')!.split('; ').includes('Secure')).toBe(isSecure)
  }
})

test('each sign-in gets another session id', async () => {
  const cookies = await Promise.all(Array.from({ length: 20 }, () => signIn(service, TOKENS.admin)))
  expect(new Set(cookies).size).toBe(20)
  for (const cookie of cookies) expect(await statusWith(cookie)).toBe(200)
})

test('a sign-in with a dp token or an unknown token is refused', async () => {
  const before = await countSessions()
  const proxy = await makeToken(service, 'a-proxy', 'dp')
  for (const [token, status] of [
    [TOKENS.dp, 403],
    [proxy, 403],
    ['unknown', 401],
    [` ${TOKENS.admin}`, 401],
    [`Bearer ${TOKENS.admin}`, 401],
    [hash('sha256', TOKENS.admin, 'hex'), 401],
    ['\0', 401],
  ] as const) {
    const response = await postSession(service, token)
    expect([token, response.status]).toEqual([token, status])
    expect(response.headers.get('set-cookie')).toBeNull()
  }
  expect(await countSessions()).toBe(before)
})

test.each([
  ['', 400],
  ['{', 400],
  ['null', 400],
  ['[]', 400],
  ['"token"', 400],
  ['{}', 400],
  ['{"token":null}', 400],
  ['{"token":""}', 400],
  ['{"token":7}', 400],
  [`{"token":["${TOKENS.admin}"]}`, 400],
  [`{"token":"${TOKENS.admin}","role":"admin"}`, 400],
  [`token=${TOKENS.admin}`, 400],
  [`{"token":"${'x'.repeat(256)}"}`, 400],
  [`{"token":"${'x'.repeat(5_000)}"}`, 413],
])('a sign-in with the body %p gets %p', async (body, status) => {
  const response = await service.fetch(null, '/session', { method: 'POST', body })
  expect(response.status).toBe(status)
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  expect(response.headers.get('set-cookie')).toBeNull()
  // The body may contain a valid token.
  expect(await response.text()).not.toContain(TOKENS.admin)
})

test('a sign-in with a large body gets 413, with or without Content-Length', async () => {
  const chunks = Array.from({ length: 40 }, () => new Uint8Array(1_000).fill(0x20))
  for (const body of ['x'.repeat(1_000_000), new Blob(chunks).stream()]) {
    const response = await service.fetch(null, '/session', { method: 'POST', body })
    await expectProblem(response, 413, 'request body too large')
  }
})

test('unknown tokens at sign-in count towards the limit of their address', async () => {
  const options = { database: service.database, unknownTokens: 5 }
  const guarded = await startTestService(options)
  try {
    const cookie = await signIn(service, TOKENS.auditor)
    for (let guess = 0; guess < 4; guess++) {
      expect((await postSession(guarded, `guess-${guess}`)).status).toBe(401)
    }
    const headers = { authorization: 'Bearer guess-4' }
    expect((await fetch(`${guarded.url}${SUMMARY}`, { headers })).status).toBe(401)
    const blocked = await postSession(guarded, 'guess-5')
    expect(blocked.status).toBe(429)
    expect(Number(blocked.headers.get('retry-after'))).toBeGreaterThan(0)
    // A valid token is refused too, or a guess would show that it is valid.
    expect((await postSession(guarded, TOKENS.admin)).status).toBe(429)
    expect(await statusWith(cookie, SUMMARY, guarded)).toBe(200)
  } finally {
    await guarded.stop()
  }
})

test('unknown tokens count for the client that a trusted proxy names, not for the proxy', async () => {
  const options = { database: service.database, unknownTokens: 3, trustedProxies: '127.0.0.0/8' }
  const guarded = await startTestService(options)
  try {
    const statusOf = async (client: string, token: string) => {
      const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': client }
      return (await fetch(`${guarded.url}${SUMMARY}`, { headers })).status
    }
    for (let guess = 0; guess < 3; guess++) {
      // The client writes a new address each time, before the one that the proxy adds.
      expect(await statusOf(`198.51.100.${guess}, 192.0.2.1`, `guess-${guess}`)).toBe(401)
    }
    expect(await statusOf('192.0.2.1', 'guess-3')).toBe(429)
    expect(await statusOf('192.0.2.2', 'guess-4')).toBe(401)
    const signIn = await postSession(guarded, TOKENS.admin, { 'x-forwarded-proto': 'https' })
    expect(signIn.headers.get('set-cookie')).toContain('; Secure')
  } finally {
    await guarded.stop()
  }
})

test('a token that signs in too often gets 429, and no other token does', async () => {
  const token = await makeToken(service, 'restless', 'auditor')
  const statuses = new Set<number>()
  for (let tries = 0; tries < 125; tries++) {
    statuses.add((await postSession(service, token)).status)
  }
  expect([...statuses]).toEqual([201, 429])
  const refused = await postSession(service, token)
  await expectProblem(refused, 429, 'too many sign-ins')
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect((await postSession(service, TOKENS.admin)).status).toBe(201)
  const headers = { authorization: `Bearer ${token}` }
  expect((await fetch(`${service.url}${SUMMARY}`, { headers })).status).toBe(200)
})

test('neither a token nor a session id is in the database or in log messages', async () => {
  let log = ''
  const stream = new Writable({
    write(chunk, _, done) {
      log += chunk
      done()
    },
  })
  const logged = await startTestService({ logger: pino({ level: 'trace' }, stream) })
  const { owner } = logged.database
  try {
    const token = await makeToken(logged, 'secret', 'auditor')
    const id = (await signIn(logged, token)).split('=')[1]!
    const [row] = await owner`
      select encode(s.id_sha256, 'hex') as id, s.token_name, to_jsonb(s)::text as text
      from sessions s`
    expect(row).toMatchObject({ id: hash('sha256', id, 'hex'), token_name: 'secret' })
    // Nor is anything that a guessed token could be compared with.
    for (const secret of [token, id, hash('sha256', token, 'hex')]) {
      expect(row!.text).not.toContain(secret)
    }
    // Unexpected errors are logged.
    await owner`drop table sessions`
    for (const response of [
      await postSession(logged, token),
      await fetchWith(logged, `tallybook_session=${id}`, '/session'),
      await fetchWith(logged, `tallybook_session=${id}`, '/session', { method: 'DELETE' }),
    ]) {
      expect(response.status).toBe(500)
      expect(await response.json()).toMatchObject({ error: 'internal error' })
    }
    expect(log.match(/request failed/g)).toHaveLength(3)
    expect(log).not.toContain(token)
    expect(log).not.toContain(id)
  } finally {
    await logged.end()
  }
})
