import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { gzipSync } from 'node:zlib'
import { HOST, hasNginx, type Nginx, readSample, startNginx } from '../support/nginx.ts'
import { readProblem } from '../support/problem.ts'
import { type TestService, TOKENS, useInstances, useService } from '../support/service.ts'

// The nginx configurations of the documentation, exactly as they are there.

const FLUSH = '/internal/apikey-stats/flush'
const MB = 1_000_000
/** A flush of about five megabytes. */
const LARGE = JSON.stringify({
  keys: Array.from({ length: 100_000 }, (_, i) => ({ api_key_id: (i % 9) + 1, requests: 1 })),
  note: 'x'.repeat(2 * MB),
})

const bearer = (role: keyof typeof TOKENS) => ({ authorization: `Bearer ${TOKENS[role]}` })

/** Defines the tests of a service behind nginx, under the path `base`. */
function testThrough(base: string, find: () => { nginx: Nginx; service: TestService }): void {
  const ask = (path: string, init?: RequestInit) => find().nginx.fetch(base + path, init)
  const post = (body: RequestInit['body'], headers: Record<string, string> = {}) =>
    ask(FLUSH, { method: 'POST', body, headers: { ...bearer('dp'), ...headers } })

  test('signing in to the console and out again works over plain HTTP', async () => {
    // Over plain HTTP a browser sends no other header about the origin of a request.
    const headers = { origin: `http://${HOST}` }
    const body = JSON.stringify({ token: TOKENS.admin })
    const signedIn = await ask('/session', { method: 'POST', headers, body })
    expect(signedIn.status).toBe(201)
    const [cookie] = signedIn.headers.get('set-cookie')!.split(';')
    const own = { ...headers, cookie: cookie! }
    const put = await ask('/admin/catalog', {
      method: 'PUT',
      headers: own,
      body: JSON.stringify({ api_keys: Array.from({ length: 9 }, (_, i) => ({ id: i + 1 })) }),
    })
    expect(put.status).toBe(200)
    expect((await ask('/session', { method: 'DELETE', headers: own })).status).toBe(204)
    const elsewhere = { ...headers, origin: 'http://evil.example' }
    expect((await ask('/session', { method: 'POST', headers: elsewhere, body })).status).toBe(403)
  })

  test('a flush of five megabytes is accepted, plain and in gzip', async () => {
    expect(LARGE.length).toBeGreaterThan(5 * MB)
    expect(await (await post(LARGE)).json()).toEqual({ updated: 9, groups_updated: 0 })
    const compressed = await post(new Uint8Array(gzipSync(LARGE)), { 'content-encoding': 'gzip' })
    expect(await compressed.json()).toEqual({ updated: 9, groups_updated: 0 })
  })

  test('a body above the limit is refused by the service, with a problem', async () => {
    const { status, error } = await readProblem(await post(' '.repeat(17 * 1024 * 1024)))
    expect([status, error]).toEqual([413, 'request body too large'])
  })

  test('a live stream passes through without a delay', async () => {
    const { service } = find()
    const ended = new AbortController()
    const init = { headers: bearer('auditor'), signal: ended.signal }
    const response = await ask('/admin/live', init)
    const reader = response.body!.getReader()
    const decoder = new TextDecoder()
    let text = ''
    const readUntil = async (isDone: () => boolean) => {
      while (!isDone()) text += decoder.decode((await reader.read()).value)
    }
    await readUntil(() => text.includes('data: '))
    const signals = text.split('data: ').length
    expect((await service.post(FLUSH, '{"keys":[{"api_key_id":1,"requests":1}]}')).status).toBe(200)
    await readUntil(() => text.split('data: ').length > signals)
    // Keep-alives arrive although nothing happens.
    text = ''
    await readUntil(() => /^:/m.test(text))
    ended.abort()
  })

  test('the console and the API page find their files', async () => {
    for (const page of ['/', '/events', '/swagger']) {
      const text = await (await ask(page)).text()
      const names = [...text.matchAll(/ (?:src|href)="(\/[^"]*)"/g)].map(([, name]) => name!)
      expect(names.length).toBeGreaterThan(2)
      for (const name of names) {
        expect([name, (await find().nginx.fetch(name)).status]).toEqual([name, 200])
      }
    }
  })
}

describe.skipIf(!hasNginx)('several instances behind nginx', () => {
  const [one, other] = useInstances()
  let nginx: Nginx
  beforeAll(async () => {
    const sample = (await readSample('guides/instances.md'))
      .replace('10.0.0.1:3000', new URL(one.url).host)
      .replace('10.0.0.2:3000', new URL(other.url).host)
      .replace('listen 80;', 'listen <listen>;')
    expect(sample).not.toContain('10.0.0')
    nginx = await startNginx(sample)
  })
  afterAll(() => nginx?.stop())

  testThrough('', () => ({ nginx, service: one }))
})

for (const form of ['kept', 'stripped'] as const) {
  describe.skipIf(!hasNginx)(`a sub-path of nginx, ${form}`, () => {
    const service = useService({ basePath: '/tallybook' })
    let nginx: Nginx
    beforeAll(async () => {
      const { host } = new URL(service.url)
      const sample = (await readSample('guides/production.md')).replace(
        'http://127.0.0.1:3000;',
        `http://${host}${form === 'kept' ? '' : '/'};`,
      )
      expect(sample).toContain(host)
      nginx = await startNginx(`server { listen <listen>; ${sample} }`)
    })
    afterAll(() => nginx?.stop())

    testThrough('/tallybook', () => ({ nginx, service }))

    test('paths outside the sub-path do not reach the service', async () => {
      expect((await nginx.fetch('/health/live')).status).toBe(404)
      const bare = await nginx.fetch('/tallybook')
      expect(bare.status).toBe(301)
      expect(new URL(bare.headers.get('location')!).pathname).toBe('/tallybook/')
    })
  })
}
