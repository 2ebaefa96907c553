import { beforeAll, expect, test } from 'bun:test'
import type { Document, Operation } from '../../src/http/openapi/model.ts'
import { insertEmptyFlushes } from '../support/events.ts'
import { TOKENS, useService } from '../support/service.ts'
import { CALLS, type Call, type Role } from './calls.ts'
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

test('an unknown parameter is refused as documented, or ignored', async () => {
  for (const { method, path, operation } of listOperations(document)) {
    const [role = null] = (operation['x-roles'] ?? []) as Role[]
    const url = `${path.replaceAll(/\{\w+\}/g, '1')}?unknown=1`
    const response = await service.fetch(role, url, { method })
    if (response.status !== 400) await response.body?.cancel()
    else expectDocumented(operation, 400, (await response.json()) as { error: string })
  }
})

/** Fails unless the `error` of a problem is one of those that are documented for its status. */
function expectDocumented(
  { operationId, responses }: Operation,
  status: number,
  { error }: { error: string },
): void {
  const { example, examples = {} } = responses[status]?.content?.['application/problem+json'] ?? {}
  const values = [example, ...Object.values(examples).map(({ value }) => value)]
  const errors = values.flatMap((value) => (value as { error: string } | undefined)?.error ?? [])
  expect({ operationId, errors }).toEqual({ operationId, errors: expect.arrayContaining([error]) })
}

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
  if (type === 'application/problem+json') {
    expectDocumented(described.operation, status, JSON.parse(text))
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
