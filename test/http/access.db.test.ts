import { beforeAll, describe, expect, test } from 'bun:test'
import { PATHS } from '../../src/console/paths.ts'
import { listRoutes } from '../support/app.ts'
import { expectProblem, readProblem } from '../support/problem.ts'
import { createDatabase, TEST_SHARDS } from '../support/server.ts'
import { TOKENS, useService } from '../support/service.ts'
import { fetchWith, signIn } from '../support/sessions.ts'

// Invariant 10: a wrong role is refused before the body is read; nothing that a client sends is
// answered with a 5xx.

type Role = keyof typeof TOKENS

/** The console, which needs no token, because the other routes serve what it shows. */
const CONSOLE: string[] = [...PATHS, '/console/:file']

/** Returns the roles that may call a route by the contract, or null if no token is needed. */
function rolesOf(method: string, path: string): Role[] | null {
  if (/^\/(health\/(live|ready)|metrics|swagger(\/.*)?)$/.test(path)) return null
  if (method === 'GET' && CONSOLE.includes(path)) return null
  if (path === '/session') return null
  if (path.startsWith('/internal/')) return ['dp']
  if (/^\/(admin|audit)\//.test(path)) return method === 'GET' ? ['admin', 'auditor'] : ['admin']
  throw new Error(`the contract does not cover ${method} ${path}`)
}

const LIMIT = 1_024

const service = useService({ bodyLimitBytes: LIMIT })
/** The session cookie of each role that can have one. */
const cookies = new Map<Role, string>()

beforeAll(async () => {
  for (const role of ['admin', 'auditor'] as const) {
    cookies.set(role, await signIn(service, TOKENS[role]))
  }
})

/** Makes a request with the token of a role and, if it can have one, with its session. */
async function fetchAs(role: Role, url: string, init: RequestInit): Promise<Response[]> {
  const cookie = cookies.get(role)
  const byToken = await service.fetch(role, url, init)
  if (cookie === undefined) return [byToken]
  const bySession = await fetchWith(service, cookie, url, init)
  // No browser may store an answer in a session, whatever its status.
  expect([url, bySession.headers.get('cache-control')]).toEqual([url, 'no-store'])
  return [byToken, bySession]
}

const database = await createDatabase()
const routes = await listRoutes(database, TEST_SHARDS)
await database.drop()
const guarded = routes.filter(({ method, path }) => rolesOf(method, path) !== null)

/** Requests that are wrong in other ways too, which would show if they were checked first. */
function wrongRequests(method: string, path: string): [url: string, init: RequestInit][] {
  const url = path.replace(/:\w+\??/g, 'not-a-number')
  const plain: [string, RequestInit][] = [
    [url, { method }],
    [`${url}?limit=none&unknown=1&cursor=%00`, { method }],
    [path.replace(/:\w+\??/g, '1'), { method }],
  ]
  if (method === 'GET') return plain
  const bodies = ['{', '', 'x'.repeat(LIMIT + 1), '[]', '\0'].map((body): [string, RequestInit] => [
    url,
    { method, body, headers: { 'idempotency-key': 'not valid', 'content-type': 'text/plain' } },
  ])
  return [...plain, ...bodies]
}

test('the app has the expected routes', () => {
  const names = guarded.map(({ method, path }) => `${method} ${path}`)
  for (const expected of [
    'POST /internal/apikey-stats/flush',
    'POST /internal/stats/flush',
    'PUT /admin/catalog',
    'DELETE /admin/keys/:token_hash',
    'GET /admin/apikey-stats/summary',
    'GET /admin/projections',
    'GET /audit/events',
    'GET /audit/events/:shard/:position',
  ]) {
    expect(names).toContain(expected)
  }
})

for (const { method, path } of guarded) {
  describe(`${method} ${path}`, () => {
    const allowed = rolesOf(method, path)!
    const wrong = (Object.keys(TOKENS) as Role[]).filter((role) => !allowed.includes(role))

    test('refuses a missing or unknown token before it checks anything else', async () => {
      for (const [url, init] of wrongRequests(method, path)) {
        for (const unknown of UNKNOWN) {
          const headers = { ...init.headers, ...unknown } as Record<string, string>
          const response = await fetch(`${service.url}${url}`, { ...init, headers })
          expect(response.headers.get('www-authenticate')).toBe('Bearer realm="tallybook"')
          await expectProblem(response, 401, 'unauthorized')
        }
      }
    })

    test(`refuses the roles ${wrong.join(', ')} before it checks anything else`, async () => {
      expect(wrong.length).toBeGreaterThan(0)
      for (const role of wrong) {
        for (const [url, init] of wrongRequests(method, path)) {
          for (const response of await fetchAs(role, url, init)) {
            await expectProblem(response, 403, 'forbidden')
          }
        }
      }
    })

    test('serves the permitted roles, and never answers bad input with a 5xx', async () => {
      for (const role of allowed) {
        for (const [url, init] of wrongRequests(method, path)) {
          for (const response of await fetchAs(role, url, init)) {
            expect([401, 403]).not.toContain(response.status)
            expect(response.status).toBeLessThan(500)
            if (response.status >= 400) await readProblem(response)
            // It may be an endless stream.
            else await response.body?.cancel()
          }
        }
      }
    })
  })
}

/** Headers without a known token or session, however similar some are. */
const UNKNOWN: Record<string, string>[] = [
  {},
  ...[
    ...['Bearer', 'Bearer ', 'Bearer unknown', `Bearer ${TOKENS.dp}x`],
    ...[`Bearer ${TOKENS.admin} ${TOKENS.admin}`, TOKENS.admin],
    ...[`Basic ${btoa(`admin:${TOKENS.admin}`)}`, `Token ${TOKENS.admin}`],
  ].map((authorization) => ({ authorization })),
  ...[TOKENS.admin, 'A'.repeat(43), ''].map((id) => ({ cookie: `tallybook_session=${id}` })),
]

test('a token in the query or in a cookie is ignored', async () => {
  const url = `${service.url}/admin/keys?access_token=${TOKENS.admin}`
  const response = await fetch(url, { headers: { cookie: `token=${TOKENS.admin}` } })
  expect(response.status).toBe(401)
})

test('the scheme Bearer is not case-sensitive', async () => {
  for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
    const headers = { authorization: `${scheme} ${TOKENS.admin}` }
    expect((await fetch(`${service.url}/admin/keys`, { headers })).status).toBe(200)
  }
})

test('open routes need no token, and accept any', async () => {
  const open = routes.filter(({ method, path }) => rolesOf(method, path) === null)
  expect(open.length).toBeGreaterThan(3)
  for (const { method, path } of open) {
    for (const role of [null, 'dp'] as const) {
      const response = await service.fetch(role, path, { method })
      const status = openStatus(method, path, role)
      expect([method, path, response.status]).toEqual([method, path, status])
    }
  }
})

/** Returns the status that an open route answers without a body. */
function openStatus(method: string, path: string, role: 'dp' | null): number {
  if (path === '/console/:file') return 404
  // Not being signed in is no error; the role `dp` cannot sign in.
  if (path === '/session' && method === 'GET') return role === null ? 200 : 403
  if (path === '/session') return method === 'POST' ? 400 : 204
  return 200
}

test('an unknown path gets 404 with problem details, whatever the method', async () => {
  const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']
  const paths = ['/nothing', '/admin', '/admin/', '/internal', '/audit/events/0', '/%00', '/%']
  for (const path of paths) {
    for (const method of methods) {
      await expectProblem(await service.fetch('admin', path, { method }), 404, 'not found')
    }
  }
})

test('a known path with a method that it does not have gets 405 with Allow', async () => {
  for (const { path } of guarded) {
    const url = path.replace(/:\w+\??/g, '1')
    for (const other of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND']) {
      if (routes.some((route) => route.method === other && route.path === path)) continue
      const response = await service.fetch('admin', url, { method: other })
      const allowed = response.headers.get('allow')?.split(', ') ?? []
      expect(allowed).toContain(routes.find((route) => route.path === path)!.method)
      await expectProblem(response, 405, 'method not allowed')
    }
  }
})
