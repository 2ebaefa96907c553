import { expect, test } from 'bun:test'
import { gunzipSync } from 'node:zlib'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Type } from '@sinclair/typebox'
import { PATHS } from '../../src/console/paths.ts'
import { toAsset } from '../../src/http/asset.ts'
import { toOpenApi } from '../../src/http/openapi/document.ts'
import {
  checker,
  createBareApp,
  describeApi,
  listMedias,
  listOperations,
  OPENAPI_FILE,
  toText,
} from './documented.ts'

const document = await describeApi()
const operations = listOperations(document)
const check = checker(document)

test('docs/reference/openapi.json is the served document (bun run openapi)', async () => {
  // Compared line by line, so that a failure shows only the lines that differ.
  const [given, committed] = [toText(document), await Bun.file(OPENAPI_FILE).text()]
  expect(given.split('\n')).toEqual(committed.split('\n'))
})

test('the document is valid OpenAPI 3.0', async () => {
  const validator = new Validator()
  expect(await validator.validate(document as object as Record<string, unknown>)).toEqual({
    valid: true,
  })
  expect(validator.version).toBe('3.0')
})

/** Web pages and the files that they load. */
const PAGES: string[] = [...PATHS, '/console/:file']
const isPage = (path: string) => path.startsWith('/swagger') || PAGES.includes(path)

test('the document describes exactly the routes of the service other than its web pages', () => {
  const routes = createBareApp()
    .routes // A tile's path may have more segments than the document describes.
    .filter(({ path }) => !isPage(path) && !path.includes('/:part'))
    .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
  const described = operations.map(({ method, path }) => `${method} ${path}`)
  expect(described.sort()).toEqual(routes.sort())
  expect(described.length).toBeGreaterThan(15)
})

test('every operation has a summary, a described tag and a unique id', () => {
  const tags = document.tags.map(({ name }) => name)
  for (const { operation } of operations) {
    expect(operation.summary).not.toBe('')
    expect(tags).toContain(operation.tags[0]!)
    expect(operation.operationId).toMatch(/^[a-z][A-Za-z]+$/)
  }
  const ids = operations.map(({ operation }) => operation.operationId)
  expect(new Set(ids).size).toBe(ids.length)
})

test('every parameter is described once, and path parameters have an example', () => {
  for (const { path, operation } of operations) {
    const parameters = operation.parameters ?? []
    const names = parameters.map((parameter) => `${parameter.in} ${parameter.name}`)
    expect(new Set(names).size).toBe(names.length)
    for (const { description } of parameters) expect(description).toBeTruthy()
    const inPath = parameters.filter((parameter) => parameter.in === 'path')
    expect(inPath.map(({ name }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? [])
    for (const { required, example } of inPath) {
      expect(required).toBe(true)
      expect(example).toBeDefined()
    }
  }
})

test('an operation has all its header and query parameters', () => {
  const { operation } = operations.find(({ path }) => path === '/audit/events')!
  const names = operation.parameters!.map((parameter) => `${parameter.in} ${parameter.name}`)
  expect(names.sort()).toEqual([
    'header last-event-id',
    ...['after', 'before', 'from', 'limit', 'order'].map((name) => `query ${name}`),
    ...['shard', 'source', 'to', 'type'].map((name) => `query ${name}`),
  ])
})

test('every answer has a description and an example that its schema accepts', () => {
  for (const { method, path, operation } of operations) {
    for (const { description } of Object.values(operation.responses)) {
      expect(description).not.toBe('')
    }
    for (const { status, type, media } of listMedias(operation)) {
      const { example, examples } = media
      const values = examples ? Object.values(examples).map(({ value }) => value) : [example]
      const schema = ['paths', path, method.toLowerCase(), 'responses', status, 'content', type]
      for (const value of values) {
        const error = value === undefined ? 'no example' : check([...schema, 'schema'], value)
        expect({ method, path, status, error }).toEqual({ method, path, status, error: null })
      }
    }
  }
})

/** Requests that need no body because the path states everything. */
const WITHOUT_BODY = [
  '/admin/projections/{name}/rebuild',
  '/admin/verifications',
  '/admin/attestations',
  '/admin/webhooks/{name}/rotate',
  '/admin/webhooks/{name}/test',
]

test('every request body has an example that its schema accepts', () => {
  const withBody = operations.filter(
    ({ method, path }) => ['POST', 'PUT', 'PATCH'].includes(method) && !WITHOUT_BODY.includes(path),
  )
  expect(withBody.length).toBeGreaterThan(2)
  for (const { method, path, operation } of withBody) {
    const example = operation.requestBody?.content['application/json']?.example
    expect(example).toBeDefined()
    const schema = ['paths', path, method.toLowerCase(), 'requestBody', 'content']
    expect(check([...schema, 'application/json', 'schema'], example)).toBeNull()
  }
})

test('the check of schemas finds invalid values', () => {
  const schema = ['components', 'schemas', 'ApiKeyFlush']
  expect(check(schema, { keys: [{ api_key_id: 1 }] })).toBeNull()
  expect(check(schema, { keys: null })).toBeNull()
  expect(check(schema, { keys: [{ api_key_id: '1' }] })).not.toBeNull()
})

test('JSON Schema is converted to the dialect of OpenAPI 3.0', () => {
  const Named = Type.Object({ n: Type.Integer() }, { title: 'Named' })
  const nullable = Type.Union([Type.Union([Type.String(), Type.Null()]), Type.Null()])
  const schema = Type.Object({
    nested: Type.Optional(nullable),
    one: Type.Literal('only', { description: 'No other' }),
    any: Type.Record(Type.String(), Type.Number()),
    list: Type.Array(Named),
    digits: Type.String({ pattern: '^\\d$', openapi: { type: 'integer', maximum: 9 } }),
  })
  const { schema: converted, components } = convert(schema)
  expect(converted).toEqual({
    type: 'object',
    required: ['one', 'any', 'list', 'digits'],
    properties: {
      nested: { type: 'string', nullable: true },
      one: { type: 'string', enum: ['only'], description: 'No other' },
      any: { type: 'object', additionalProperties: { type: 'number' } },
      list: { type: 'array', items: { $ref: '#/components/schemas/Named' } },
      digits: { type: 'integer', format: 'int64', maximum: 9 },
    },
  })
  expect(components.Named?.properties).toEqual({ n: { type: 'integer', format: 'int64' } })
})

test('two schemas with one title are refused', () => {
  const one = Type.Object({ a: Type.Object({}, { title: 'Twice' }) })
  const two = Type.Object({ b: Type.Object({ c: Type.String() }, { title: 'Twice' }) })
  expect(() => convert(Type.Union([one, two]))).toThrow('Two schemas are called Twice.')
})

/** Converts the schema of an answer. */
function convert(schema: object) {
  const responses = { 200: { description: 'ok', content: { 'application/json': { schema } } } }
  const { paths, components } = toOpenApi({
    paths: { '/x': { get: { operationId: 'get-x', responses } } },
  })
  return {
    schema: paths['/x']!.get!.responses[200]!.content!['application/json']!.schema,
    components: components.schemas,
  }
}

test('an asset is compressed for clients that accept gzip, and sent once', async () => {
  const asset = toAsset('text '.repeat(100), 'text/plain')
  const request = (headers: Record<string, string>) =>
    asset(new Request('http://localhost/', { headers }))
  for (const accepted of ['gzip', 'br, gzip;q=0.5', 'GZIP']) {
    const response = request({ 'accept-encoding': accepted })
    expect(response.headers.get('content-encoding')).toBe('gzip')
    expect(gunzipSync(await response.arrayBuffer()).toString()).toBe('text '.repeat(100))
  }
  for (const accepted of ['', 'br', 'gzip;q=0', 'x-gzip-not']) {
    const response = request({ 'accept-encoding': accepted })
    expect(response.headers.get('content-encoding')).toBeNull()
    expect(await response.text()).toBe('text '.repeat(100))
  }
  const etag = request({}).headers.get('etag')!
  expect(request({ 'if-none-match': `"other", ${etag}` }).status).toBe(304)
  expect(request({ 'if-none-match': '"other"' }).status).toBe(200)
})

test('the page and its assets are found from any working directory', async () => {
  const before = process.cwd()
  process.chdir('/')
  try {
    const elsewhere = createBareApp()
    for (const path of ['/swagger', '/swagger/page.js', '/swagger/swagger-ui.css']) {
      const response = await elsewhere.handle(new Request(`http://localhost${path}`))
      expect(response.status).toBe(200)
    }
  } finally {
    process.chdir(before)
  }
})
