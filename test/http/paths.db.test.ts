import { expect, test } from 'bun:test'
import { sendRaw } from '../support/raw-http.ts'
import { TOKENS, useService } from '../support/service.ts'

// A proxy may forward only some paths. A path that it forwards must not become another one here,
// whatever the Host header contains.

const service = useService()

const send = (target: string, hosts: string[], version = '1.1', method = 'GET') =>
  sendRaw(
    service.url,
    `${method} ${target} HTTP/${version}\r\n` +
      `${hosts.map((host) => `Host: ${host}\r\n`).join('')}` +
      `Authorization: Bearer ${TOKENS.admin}\r\nConnection: close\r\n\r\n`,
  )

test.each(['x', 'ab', 'localhost', 'stats.example.com:8080', '[::1]:3000'])(
  'the host %p does not change the path',
  async (host) => {
    expect((await send('/admin/tokens', [host])).status).toBe(200)
    expect((await send('/internal/admin/tokens', [host])).status).toBe(404)
    expect((await send('/audit/log/0/checkpoint', [host])).status).toBe(200)
    expect((await send('/audit/log/0/tile/0/x001/000.p/7', [host])).status).toBe(404)
    expect((await send('/', [host])).status).toBe(200)
  },
)

test.each([
  '/internal/..\\admin/tokens',
  '/internal\\..\\admin\\tokens',
  '/internal/%2e%2e/admin/tokens',
  '/internal/.%2e/admin/tokens',
  '/internal/../admin/tokens',
  '//admin/tokens',
  '/%61dmin/tokens',
])('%p does not reach /admin/tokens', async (target) => {
  expect((await send(target, ['x'])).status).toBe(404)
})

test.each([
  ['two hosts', ['a', 'b']],
  ['the same host twice', ['a', 'a']],
  ['a path in the host', ['a/admin/tokens?']],
  ['a fragment in the host', ['a#']],
  ['credentials in the host', ['u:p@a']],
  ['a space in the host', ['a b']],
  ['non-ASCII letters in the host', ['\xe9']],
])('a request with %s is refused on every kind of route', async (_, hosts) => {
  for (const target of ['/admin/tokens', '/admin/keys/k', '/health/live', '/', '/nowhere']) {
    const { status, body } = await send(target, hosts)
    expect({ target, status }).toEqual({ target, status: 400 })
    expect(JSON.parse(body)).toMatchObject({ status: 400, error: 'invalid request' })
  }
})

test('HTTP/1.0 without a host is served: some load balancers send such health checks', async () => {
  expect((await send('/health/ready', [], '1.0')).status).toBe(200)
  expect((await send('/admin/keys/none', [], '1.0')).status).toBe(404)
  expect((await send('/admin/usage?bucket=day', [], '1.0')).status).toBe(200)
  expect((await send('/internal/x', [], '1.0')).status).toBe(404)
})

test.each([
  ['POST', '/admin/tokens/x', 'DELETE'],
  ['GET', '/internal/apikey-stats/flush', 'POST'],
  ['DELETE', '/admin/api-keys', 'GET, HEAD'],
  ['PATCH', '/admin/api-keys/7', 'DELETE, GET, HEAD'],
  ['OPTIONS', '/admin/catalog', 'PUT'],
  ['POST', '/audit/log/0/tile/0/x001/000', 'GET, HEAD'],
  ['POST', '/health/live', 'GET, HEAD'],
])('%s %s answers 405 with Allow: %s', async (method, path, allow) => {
  const answer = await service.fetch('admin', path, { method })
  expect(answer.status).toBe(405)
  expect(answer.headers.get('allow')).toBe(allow)
  expect(await answer.json()).toMatchObject({ status: 405, error: 'method not allowed' })
})
