import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { gzipSync } from 'node:zlib'
import { readProblem } from '../support/problem.ts'
import {
  hasCaddy,
  hasNginx,
  type ReverseProxy,
  readSample,
  startCaddy,
  startNginx,
} from '../support/reverse-proxy.ts'
import { type TestService, TOKENS, useInstances, useService } from '../support/service.ts'

// The samples of docs/guides, exactly as they are there.

const FLUSH = '/internal/apikey-stats/flush'
const MB = 1_000_000
/** A flush of about five megabytes. */
const LARGE = JSON.stringify({
  keys: Array.from({ length: 100_000 }, (_, i) => ({ api_key_id: (i % 9) + 1, requests: 1 })),
  note: 'x'.repeat(2 * MB),
})

const bearer = (role: keyof typeof TOKENS) => ({ authorization: `Bearer ${TOKENS[role]}` })

/** Defines the tests of a service behind a proxy, under the path `base`. */
function testThrough(base: string, find: () => { proxy: ReverseProxy; service: TestService }) {
  const ask = (path: string, init?: RequestInit) => find().proxy.fetch(base + path, init)
  const post = (body: RequestInit['body'], headers: Record<string, string> = {}) =>
    ask(FLUSH, { method: 'POST', body, headers: { ...bearer('dp'), ...headers } })

  test('signing in to the console and out again works', async () => {
    // Over plain HTTP a browser sends no other header about the origin of a request.
    const { origin } = find().proxy
    const headers = { origin }
    const body = JSON.stringify({ token: TOKENS.admin })
    const signedIn = await ask('/session', { method: 'POST', headers, body })
    expect(signedIn.status).toBe(201)
    const [cookie, ...flags] = signedIn.headers.get('set-cookie')!.split('; ')
    expect(flags.includes('Secure')).toBe(origin.startsWith('https:'))
    expect(flags).toContain(`Path=${base || '/'}`)
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
        expect([name, (await find().proxy.fetch(name)).status]).toEqual([name, 200])
      }
    }
  })
}

describe.skipIf(!hasNginx)('several instances behind nginx', () => {
  const [one, other] = useInstances()
  let proxy: ReverseProxy
  beforeAll(async () => {
    const sample = (await readSample('guides/instances.md', 'nginx'))
      .replace('10.0.0.1:3000', new URL(one.url).host)
      .replace('10.0.0.2:3000', new URL(other.url).host)
      .replace('listen 80;', 'listen <listen>;')
    expect(sample).not.toContain('10.0.0')
    proxy = await startNginx(sample)
  })
  afterAll(() => proxy?.stop())

  testThrough('', () => ({ proxy, service: one }))
})

const PROXIES = [
  {
    name: 'nginx',
    isInstalled: hasNginx,
    start: async (host: string, isStripped: boolean) => {
      const sample = await readSample('guides/proxies.md', 'nginx')
      const target = `http://${host}${isStripped ? '/' : ''};`
      return startNginx(
        `server { listen <listen>; ${sample.replace('http://127.0.0.1:3000;', target)} }`,
      )
    },
  },
  {
    name: 'Caddy',
    isInstalled: hasCaddy,
    start: async (host: string, isStripped: boolean) => {
      const sample = (await readSample('guides/proxies.md', 'caddyfile'))
        .replace('127.0.0.1:3000', host)
        .replace('handle ', isStripped ? 'handle_path ' : 'handle ')
      return startCaddy(sample)
    },
  },
]

for (const { name, isInstalled, start } of PROXIES) {
  for (const form of ['kept', 'stripped'] as const) {
    describe.skipIf(!isInstalled)(`a sub-path of ${name}, ${form}`, () => {
      const service = useService({
        ...{ basePath: '/tallybook', trustedProxies: '127.0.0.1', unknownTokens: 3 },
      })
      let proxy: ReverseProxy
      beforeAll(async () => {
        proxy = await start(new URL(service.url).host, form === 'stripped')
      })
      afterAll(() => proxy?.stop())

      testThrough('/tallybook', () => ({ proxy, service }))

      test('paths outside the sub-path do not reach the service', async () => {
        expect(await (await proxy.fetch('/health/live')).text()).not.toContain('status')
        const bare = await proxy.fetch('/tallybook')
        expect([301, 302]).toContain(bare.status)
        const location = new URL(bare.headers.get('location')!, proxy.origin)
        expect(location.pathname).toBe('/tallybook/')
      })

      test('unknown tokens count for the client, whatever it writes into headers', async () => {
        const guess = (client: string, n: number) =>
          proxy.getFrom(client, '/tallybook/admin/apikey-stats/summary', {
            authorization: `Bearer guess-${n}`,
            'x-forwarded-for': `192.0.2.${n}`,
            forwarded: `for=192.0.2.${n}`,
          })
        const statuses: number[] = []
        for (let n = 0; n < 4; n++) statuses.push(await guess('127.0.0.2', n))
        expect(statuses).toEqual([401, 401, 401, 429])
        expect(await guess('127.0.0.3', 4)).toBe(401)
      })
    })
  }
}
