import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { openHttpSource } from '../../src/proofs/verifier/index.ts'
import { outcomeOf } from '../support/archive.ts'
import { type HttpProxy, startHttpProxy } from '../support/http-proxy.ts'
import { type DataDir, makeDataDir, runTallybook } from '../support/process.ts'
import { sendRaw } from '../support/raw-http.ts'
import { startTestService, TOKENS, useService } from '../support/service.ts'
import { until } from '../support/until.ts'

const BASE = '/tally/book'
const FLUSH = '/internal/apikey-stats/flush'
const service = useService({ basePath: BASE, unknownTokens: 1_000_000 })
let dataDir: DataDir
const proxies: Record<'kept' | 'stripped', HttpProxy> = {} as never

beforeAll(async () => {
  dataDir = await makeDataDir()
  proxies.kept = await startHttpProxy(service.url, BASE, 'kept')
  proxies.stripped = await startHttpProxy(service.url, BASE, 'stripped')
  expect((await service.putCatalog({ api_keys: [{ id: 1 }] })).status).toBe(200)
})
afterAll(async () => {
  await Promise.all(Object.values(proxies).map((proxy) => proxy.close()))
  await dataDir?.remove()
})

const root = () => new URL(service.url).origin

test('every route answers the same with and without the base path', async () => {
  const get = async (path: string) => {
    const headers = { authorization: `Bearer ${TOKENS.admin}` }
    const response = await fetch(root() + path, { headers })
    return { status: response.status, type: response.headers.get('content-type') }
  }
  for (const path of [
    ...['/', '/keys/some', '/console/icon.svg', '/swagger', '/swagger/', '/swagger/json'],
    ...['/health/live', '/metrics', '/admin/keys?limit=1', '/admin/api-keys/1', '/session'],
    ...['/audit/events?limit=1', '/audit/events/0/0', '/audit/log/keys'],
  ]) {
    const plain = await get(path)
    expect({ path, ...plain, status: plain.status }).toEqual({ path, ...plain, status: 200 })
    expect({ path, ...(await get(BASE + path)) }).toEqual({ path, ...plain })
  }
  expect((await get(BASE)).status).toBe(200)
})

test('a flush under the base path counts, and a refused one appears in the metrics', async () => {
  const refused = async () => {
    const text = await (await fetch(`${root()}/metrics`)).text()
    return Number(/tallybook_flushes_total\{outcome="unauthorized"\} (\d+)/.exec(text)?.[1])
  }
  const response = await service.post(FLUSH, '{"keys":[{"api_key_id":1,"requests":1}]}')
  expect(response.status).toBe(200)
  const before = await refused()
  expect((await service.fetch(null, FLUSH, { method: 'POST', body: '{}' })).status).toBe(401)
  await until(async () => (await refused()) === before + 1)
})

test('wrong methods and unknown paths under the base path get 405 and 404', async () => {
  const patched = await service.fetch('admin', '/admin/keys', { method: 'PATCH' })
  expect(patched.status).toBe(405)
  expect(patched.headers.get('allow')).toBe('GET, HEAD')
  for (const page of [`${BASE}/`, BASE, '/swagger/', `${BASE}/swagger/`]) {
    expect([page, (await fetch(root() + page, { method: 'POST' })).status]).toEqual([page, 405])
  }
  expect((await service.fetch('admin', '/nothing')).status).toBe(404)
  expect((await service.fetch('admin', `${BASE}/admin/keys`)).status).toBe(404)
})

/** Paths that a proxy could interpret differently than the service does. */
const OTHERS = [
  `${BASE}/internal/..%2fadmin/tokens`,
  `${BASE}/internal/../admin/tokens`,
  `${BASE}/internal/..\\admin/tokens`,
  `${BASE}/internal/%2e%2e/admin/tokens`,
  `${BASE}//admin/tokens`,
  `/${BASE}/admin/tokens`,
  `${BASE}/./admin/tokens`,
  `${BASE}/x/../../book/admin/tokens`,
  '/tally%2Fbook/admin/tokens',
  '/tally/%62ook/admin/tokens',
  '/Tally/Book/admin/tokens',
  '/tally/bookadmin/tokens',
  '/tally/admin/tokens',
  `/internal/..${BASE}/admin/tokens`,
]

test.each(OTHERS)('%p is not a path of the service', async (path) => {
  const request = (to: string) =>
    `GET ${to} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKENS.admin}\r\n\r\n`
  expect((await sendRaw(root(), request(`${BASE}/admin/tokens`))).status).toBe(200)
  expect((await sendRaw(root(), request(path))).status).toBe(404)
})

test('the session cookie is limited to the base path', async () => {
  const body = JSON.stringify({ token: TOKENS.admin })
  const signedIn = await service.fetch(null, '/session', { method: 'POST', body })
  expect(signedIn.headers.get('set-cookie')).toContain(`; Path=${BASE};`)
  const ended = await service.fetch(null, '/session', { method: 'DELETE' })
  expect(ended.headers.get('set-cookie')).toContain(`; Path=${BASE};`)
})

test('the OpenAPI document has the base path as its server and each route once', async () => {
  type Document = { servers: unknown; paths: Record<string, unknown> }
  const document = (await (await service.fetch(null, '/swagger/json')).json()) as Document
  expect(document.servers).toEqual([{ url: BASE }])
  expect(Object.keys(document.paths).filter((path) => path.startsWith('/tally'))).toEqual([])
  expect(document.paths).toHaveProperty([FLUSH])
})

describe.each(['kept', 'stripped'] as const)('behind a proxy, with the prefix %s', (form) => {
  test('the pages and the files that they reference are found', async () => {
    const { url, strays } = proxies[form]
    for (const page of ['/', '/keys/some', '/swagger', '/swagger/']) {
      const text = await (await fetch(url + page)).text()
      const names = [...text.matchAll(/ (?:src|href)="(\/[^"]*)"/g)].map(([, name]) => name!)
      expect(names.length).toBeGreaterThan(2)
      for (const name of names) {
        expect([name, (await fetch(new URL(name, url))).status]).toEqual([name, 200])
      }
    }
    expect(strays).toEqual([])
  })

  test('an audit reads tree heads, tiles and events', async () => {
    const { url } = proxies[form]
    const source = await openHttpSource({ url, token: TOKENS.auditor })
    expect(source.shards).toBe(service.shards)
    const { code, stderr } = await outcomeOf(runTallybook(['audit', url], dataDir.path))
    expect([code, stderr.includes('answered')]).toEqual([0, false])
  })
})

test.each(['/admin', '/audit/x', '/keys', '/swagger', '/console', '/session', '/api-keys'])(
  'the base path %p is refused because the service has routes under it',
  async (basePath) => {
    const { database } = service
    const started = startTestService({ database, basePath })
    await expect(started).rejects.toThrow('TALLYBOOK_BASE_PATH')
  },
)
