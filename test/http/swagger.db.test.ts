import { beforeAll, expect, test } from 'bun:test'
import type { Document } from '../../src/http/openapi/model.ts'
import { EXAMPLE_HASH } from '../../src/http/params.ts'
import { insertEmptyFlushes } from '../support/events.ts'
import { TOKENS, useService } from '../support/service.ts'
import { checker, closeObjects, listOperations, missingHeaders } from './documented.ts'

const service = useService({ bodyLimitBytes: 4_096 })
let document: Document
let check: ReturnType<typeof checker>
beforeAll(async () => {
  // Fills a tile of the transparency log.
  await insertEmptyFlushes(service.database.owner, 0, 256)
  while ((await service.fetch('auditor', '/audit/log/0/tile/0/000')).status !== 200) {
    await Bun.sleep(50)
  }
  document = closeObjects(await (await service.fetch(null, '/swagger/json')).json()) as Document
  check = checker(document)
})

type Role = keyof typeof TOKENS
type Call = [role: Role | null, method: string, path: string, status: number, init?: RequestInit]

const body = (value: unknown, key?: string): RequestInit => ({
  body: typeof value === 'string' ? value : JSON.stringify(value),
  headers: key === undefined ? {} : { 'idempotency-key': key },
})
const brotli: RequestInit = { body: 'x', headers: { 'content-encoding': 'br' } }
const accepting = (accept: string): RequestInit => ({ headers: { accept } })
const API_KEYS = '/internal/apikey-stats/flush'
const flush = (requests: number) => ({ keys: [{ api_key_id: 7, requests, success_requests: 1 }] })
const BALANCES = {
  as_of: '2026-01-31T12:00:00Z',
  origin: { system: 'ez-api' },
  provider_groups: [{ id: 1, total_requests: 10, success_requests: 9 }],
  api_keys: [{ id: 7, total_requests: 10, success_requests: 9 }],
  keys: [{ token_hash: EXAMPLE_HASH, request_count: 1, used_tokens: 2, quota_used: 2 }],
}

const brotliBalances = { ...brotli, headers: { ...brotli.headers, 'idempotency-key': 'br' } }
const UNKNOWN = '/admin/unknown-keys'
const adoption = { api_keys: [{ id: 70, external_id: 'sk-70', group_id: 1 }] }

/** Made in this order: a success of each operation, and the errors that a client can cause. */
const CALLS: Call[] = [
  [
    'admin',
    'PUT',
    '/admin/catalog',
    200,
    body({
      provider_groups: [{ id: 1, name: 'openai' }, { id: 2 }],
      api_keys: [{ id: 7, group_id: 1 }, { id: 8 }],
      keys: [{ token_hash: EXAMPLE_HASH, quota_limit: 5 }, { token_hash: 'other' }],
    }),
  ],
  ['admin', 'PUT', '/admin/catalog', 400, body({ keys: [{}] })],
  ['admin', 'PUT', '/admin/catalog', 413, body('x'.repeat(5_000))],
  ['admin', 'PUT', '/admin/catalog', 415, brotli],
  ['dp', 'POST', API_KEYS, 200, body(flush(3), 'one')],
  ['dp', 'POST', API_KEYS, 200, body(flush(3), 'one')],
  ['dp', 'POST', API_KEYS, 422, body(flush(4), 'one')],
  ['dp', 'POST', API_KEYS, 400, body('{')],
  ['dp', 'POST', API_KEYS, 400, body(flush(0))],
  ['dp', 'POST', API_KEYS, 400, body(flush(1), 'with space')],
  ['dp', 'POST', API_KEYS, 413, body('x'.repeat(5_000))],
  ['dp', 'POST', API_KEYS, 415, brotli],
  [
    'dp',
    'POST',
    '/internal/stats/flush',
    200,
    body({ keys: [{ token_hash: EXAMPLE_HASH, requests: 1, tokens: 2, last_accessed_at: 1 }] }),
  ],
  ['dp', 'GET', '/internal/quota/exhausted', 200],
  ['admin', 'POST', `/admin/keys/${EXAMPLE_HASH}/quota-reset`, 201, body({ reason: 'new' })],
  ['admin', 'POST', '/admin/balances', 201, body(BALANCES, 'opened')],
  ['admin', 'POST', '/admin/balances', 201, body(BALANCES, 'opened')],
  ['admin', 'POST', '/admin/balances', 409, body(BALANCES, 'again')],
  ['admin', 'POST', '/admin/balances', 422, body({ ...BALANCES, api_keys: [] }, 'opened')],
  ['admin', 'POST', '/admin/balances', 400, body(BALANCES)],
  ['admin', 'POST', '/admin/balances', 413, body('x'.repeat(5_000), 'large')],
  ['admin', 'POST', '/admin/balances', 415, brotliBalances],
  ['admin', 'POST', '/admin/corrections', 201, body({ reverse: '0/257', reason: 'twice' })],
  ['admin', 'POST', '/admin/corrections', 409, body({ reverse: '0/257', reason: 'twice' })],
  ['admin', 'POST', '/admin/corrections', 404, body({ reverse: '0/99999', reason: 'twice' })],
  ['admin', 'POST', '/admin/corrections', 422, body({ reverse: '0/0', reason: 'twice' })],
  ['admin', 'POST', '/admin/corrections', 400, body({ reason: 'nothing' })],
  ['admin', 'POST', '/admin/corrections', 413, body('x'.repeat(5_000))],
  ['admin', 'POST', '/admin/corrections', 415, brotli],
  ['auditor', 'GET', '/admin/corrections', 200],
  ['dp', 'POST', API_KEYS, 200, body({ keys: [{ api_key_id: 70, requests: 1 }] })],
  ['dp', 'POST', API_KEYS, 200, body({ keys: [{ api_key: 'sk-71', requests: 1 }] })],
  ['auditor', 'GET', `${UNKNOWN}?kind=api_key`, 200],
  ['admin', 'GET', `${UNKNOWN}?kind=key&sort=-requests&limit=1`, 200],
  ['admin', 'GET', UNKNOWN, 400],
  ['admin', 'GET', `${UNKNOWN}?kind=key&cursor=x`, 400],
  ['admin', 'POST', `${UNKNOWN}/adopt`, 200, body(adoption)],
  ['admin', 'POST', `${UNKNOWN}/adopt`, 200, body(adoption)],
  ['admin', 'POST', `${UNKNOWN}/adopt`, 400, body({ api_keys: [] })],
  ['admin', 'POST', `${UNKNOWN}/adopt`, 409, body({ api_keys: [{ id: 7, external_id: 'sk-70' }] })],
  ['admin', 'POST', `${UNKNOWN}/adopt`, 413, body('x'.repeat(5_000))],
  ['admin', 'POST', `${UNKNOWN}/adopt`, 415, brotli],
  ['auditor', 'GET', '/admin/corrections?sort=reason', 400],
  ['admin', 'GET', '/admin/apikey-stats/summary', 200],
  ['auditor', 'GET', '/admin/provider-groups', 200],
  ['admin', 'GET', '/admin/provider-groups?limit=1', 200],
  ['admin', 'GET', '/admin/provider-groups?limit=0', 400],
  ['admin', 'GET', '/admin/provider-groups?cursor=x', 400],
  ['admin', 'GET', '/admin/provider-groups/1', 200],
  ['admin', 'GET', '/admin/provider-groups/99', 404],
  ['admin', 'GET', '/admin/api-keys?sort=-total_requests', 200],
  ['admin', 'GET', '/admin/api-keys/7', 200],
  ['admin', 'GET', '/admin/keys', 200],
  ['admin', 'GET', `/admin/keys/${EXAMPLE_HASH}`, 200],
  ['admin', 'GET', '/admin/apikey-stats/summary?as_of=2026-01-01T00:00:00Z', 200],
  ['auditor', 'GET', '/admin/keys?as_of_position=0/0', 200],
  ['admin', 'GET', '/admin/keys?as_of_position=0/99999', 400],
  ['admin', 'GET', '/admin/usage', 200],
  ['auditor', 'GET', `/admin/usage?bucket=day&token_hash=${EXAMPLE_HASH}`, 200],
  ['admin', 'GET', '/admin/usage?tz=Nowhere', 400],
  ['auditor', 'GET', '/audit/explain?api_key_id=7', 200],
  ['admin', 'GET', `/audit/explain?token_hash=${EXAMPLE_HASH}&limit=1`, 200],
  ['admin', 'GET', '/audit/explain?after=9/9', 400],
  ['admin', 'GET', '/admin/projections', 200],
  ['admin', 'POST', '/admin/projections/usage/rebuild', 202],
  ['admin', 'POST', '/admin/projections/usage/rebuild', 409],
  ['admin', 'POST', '/admin/projections/none/rebuild', 404],
  ['auditor', 'GET', '/admin/projections', 200],
  ['admin', 'POST', '/admin/verifications', 202],
  ['admin', 'POST', '/admin/verifications', 409],
  ['auditor', 'GET', '/admin/verifications', 200],
  ['auditor', 'GET', '/admin/verifications?limit=0', 400],
  ['admin', 'DELETE', '/admin/provider-groups/2', 204],
  ['admin', 'DELETE', '/admin/provider-groups/2', 404],
  ['admin', 'DELETE', '/admin/api-keys/8', 204],
  ['admin', 'DELETE', '/admin/keys/other', 204],
  ['admin', 'GET', '/admin/keys?ended=true', 200],
  ['auditor', 'GET', '/audit/events', 200],
  ['auditor', 'GET', '/audit/events', 200, accepting('application/x-ndjson')],
  ['auditor', 'GET', '/audit/events?after=-1&limit=2', 200, accepting('text/event-stream')],
  ['auditor', 'GET', '/audit/events?from=yesterday', 400],
  ['auditor', 'GET', '/audit/events/0/0', 200],
  ['auditor', 'GET', '/audit/events/0/9999', 404],
  ['auditor', 'GET', '/audit/events/0/0/tlog-proof', 200],
  ['auditor', 'GET', '/audit/events/0/9999/tlog-proof', 404],
  ['dp', 'POST', '/internal/receipts', 200, body({ position: '0/0' })],
  ['dp', 'POST', '/internal/receipts', 404, body({ position: '0/9999' })],
  ['dp', 'POST', '/internal/receipts', 400, body({})],
  ['dp', 'POST', '/internal/receipts', 413, body('x'.repeat(5_000))],
  ['dp', 'POST', '/internal/receipts', 415, brotli],
  ['auditor', 'GET', '/audit/log/keys', 200],
  ['admin', 'GET', '/audit/log/0/checkpoint', 200],
  ['admin', 'GET', '/audit/log/9999/checkpoint', 404],
  ['auditor', 'GET', '/audit/log/0/tile/0/000', 200],
  ['auditor', 'GET', '/audit/log/0/tile/entries/000', 200],
  ['auditor', 'GET', '/audit/log/0/tile/0/999', 404],
  ['auditor', 'GET', '/audit/proof/inclusion?position=1&tree_size=2', 200],
  ['auditor', 'GET', '/audit/proof/inclusion?position=2&tree_size=2', 400],
  ['auditor', 'GET', '/audit/proof/consistency?from=1&to=2', 200],
  ['auditor', 'GET', '/audit/proof/consistency?from=1&to=99999', 404],
  ['auditor', 'GET', '/admin/apikey-stats/summary?attested=true', 404],
  ['admin', 'POST', '/admin/attestations', 201],
  ['auditor', 'GET', '/admin/attestations', 200],
  ['auditor', 'GET', '/admin/apikey-stats/summary?attested=true', 200],
  ['admin', 'POST', '/admin/tokens', 201, body({ name: 'proxy-1', role: 'dp' })],
  ['admin', 'POST', '/admin/tokens', 409, body({ name: 'proxy-1', role: 'dp' })],
  ['admin', 'POST', '/admin/tokens', 400, body({ name: 'proxy-1' })],
  ['admin', 'POST', '/admin/tokens', 413, body('x'.repeat(5_000))],
  ['admin', 'POST', '/admin/tokens', 415, brotli],
  ['auditor', 'GET', '/admin/tokens', 200],
  ['admin', 'DELETE', '/admin/tokens/proxy-1', 204],
  ['admin', 'DELETE', '/admin/tokens/proxy-1', 404],
  ['auditor', 'GET', '/admin/tokens', 200],
  [null, 'POST', '/session', 201, body({ token: TOKENS.auditor })],
  [null, 'POST', '/session', 400, body({})],
  [null, 'POST', '/session', 401, body({ token: 'unknown' })],
  [null, 'POST', '/session', 403, body({ token: TOKENS.dp })],
  [null, 'POST', '/session', 413, body('x'.repeat(5_000))],
  [null, 'POST', '/session', 415, brotli],
  ['admin', 'GET', '/session', 200],
  [null, 'GET', '/session', 200],
  ['dp', 'GET', '/session', 403],
  [null, 'GET', '/session', 401, { headers: { authorization: 'Bearer unknown' } }],
  [null, 'DELETE', '/session', 204],
  ['auditor', 'GET', '/admin/live', 200],
  ['admin', 'GET', '/admin/status', 200],
  ['admin', 'GET', '/admin/status?x=1', 400],
  ['auditor', 'GET', '/admin/api-keys?search=7', 200],
  ['auditor', 'GET', '/admin/api-keys?search=', 400],
  ['auditor', 'GET', '/audit/events?order=desc&limit=1', 200],
  ['auditor', 'GET', '/audit/events?order=desc&after=1', 400],
  [null, 'GET', '/health/live', 200],
  [null, 'GET', '/health/ready', 200],
  [null, 'GET', '/metrics', 200],
]

test('the service answers every operation as documented', async () => {
  const answered = new Set<string>()
  for (const call of CALLS) {
    const { operationId, response } = await callDocumented(call)
    if (response.ok) answered.add(operationId)
  }
  const operations = listOperations(document).map(({ operation }) => operation.operationId)
  expect([...answered].sort()).toEqual(operations.sort())
})

test('tokens are refused as documented: roles, 401 and 403', async () => {
  for (const { method, path, operation } of listOperations(document)) {
    const roles = operation['x-roles']
    expect(operation.security.length).toBe(roles === undefined ? 0 : 1)
    if (roles === undefined) continue
    // The id is invalid and there is no body, so that a permitted request changes nothing.
    const url = path.replaceAll(/\{\w+\}/g, '%20'.repeat(1_500))
    const anonymous = await callDocumented([null, method, url, 401], path)
    expect(anonymous.operationId).toBe(operation.operationId)
    for (const role of Object.keys(TOKENS) as Role[]) {
      if (!roles.includes(role)) await callDocumented([role, method, url, 403], path)
      else {
        const { status, body } = await service.fetch(role, url, { method })
        expect([200, 201, 202, 400, 404, 409]).toContain(status)
        await body?.cancel()
      }
    }
  }
})

/** Makes the request and checks status, headers, type and body against the document. */
async function callDocumented(call: Call, template?: string) {
  const [role, method, url, status, init = {}] = call
  const response = await service.fetch(role, url, { method, ...init })
  const described = listOperations(document).find(
    (one) => one.method === method && (template ?? findPath(url, method)) === one.path,
  )!
  const { operationId, responses } = described.operation
  const answer = responses[String(response.status)]
  expect({ operationId, status: response.status }).toEqual({ operationId, status })
  expect(answer).toBeDefined()
  expect(missingHeaders(answer!, response)).toEqual([])
  const text = url === '/admin/live' ? await readFirst(response) : await response.text()
  const types = Object.keys(answer!.content ?? {})
  const type = response.headers.get('content-type')?.split(';')[0] ?? ''
  if (types.length === 0) expect(text).toBe('')
  else expect(types).toContain(type)
  const isText = type.startsWith('text/') || /^application\/(x-ndjson|octet-stream)$/.test(type)
  if (types.length > 0) {
    const path = [described.path, method.toLowerCase(), 'responses', String(status), 'content']
    const error = check(['paths', ...path, type, 'schema'], isText ? text : JSON.parse(text))
    expect({ operationId, status, error }).toEqual({ operationId, status, error: null })
  }
  return { operationId, response }
}

/** Returns the first chunk of an endless stream. */
async function readFirst(response: Response): Promise<string> {
  const reader = response.body!.getReader()
  const { value } = await reader.read()
  await reader.cancel()
  return new TextDecoder().decode(value)
}

/** Returns the documented path that matches a URL, preferably one without parameters. */
function findPath(url: string, method: string): string | undefined {
  const path = url.split('?')[0]!
  const paths = listOperations(document)
    .filter((one) => one.method === method)
    .map((one) => one.path)
  const pattern = (one: string) => new RegExp(`^${one.replaceAll(/\{\w+\}/g, '[^/]+')}$`)
  return paths.find((one) => one === path) ?? paths.find((one) => pattern(one).test(path))
}

test('the page needs no token and loads nothing external', async () => {
  for (const path of ['/swagger', '/swagger/']) {
    const response = await service.fetch(null, path)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    const page = await response.text()
    const sources = [...page.matchAll(/ (?:src|href|data-\w+)="([^"]*)"/g)].map(([, one]) => one!)
    expect(sources).toContain('/swagger/page.js')
    for (const source of sources) expect(source).toMatch(/^\/(swagger|console)\//)
    expect(page).not.toMatch(/<style|<script>| style=| on\w+=|scalar/)
  }
})

test('the page has security headers, is compressed, and is sent once', async () => {
  const response = await service.fetch(null, '/swagger')
  expect(response.headers.get('content-security-policy')).toStartWith(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
  )
  expect(response.headers.get('referrer-policy')).toBe('no-referrer')
  for (const path of ['', '/json', '/page.js', '/swagger-ui.css', '/swagger-ui-bundle.js']) {
    const url = `/swagger${path}`
    const first = await service.fetch(null, url, { headers: { 'accept-encoding': 'gzip' } })
    expect(first.headers.get('content-encoding')).toBe('gzip')
    expect(first.headers.get('x-content-type-options')).toBe('nosniff')
    const etag = first.headers.get('etag')!
    const again = await service.fetch(null, url, { headers: { 'if-none-match': etag } })
    expect(again.status).toBe(304)
  }
})
