import { describe, expect, test } from 'bun:test'
import protobuf from 'protobufjs'
import { LLM_CONVENTIONS } from '../../src/cli/llm-conventions.ts'
import { readOtlp, UnreadableBody, withPaths } from '../../src/collect/inputs.ts'
import { decodeRequest, encodeResponse, type Signal } from '../../src/collect/otlp/decode.ts'
import { OTLP_PRESETS } from '../../src/collect/otlp/presets.ts'
import type { Reading } from '../../src/collect/usage-record.ts'

// Requests of OTLP senders in JSON and in protobuf, and what is counted of them.

const TARGET = {
  dimensions: new Set<string>(LLM_CONVENTIONS.dimensions.map(({ name }) => name)),
  measures: new Set<string>(LLM_CONVENTIONS.measures.map(({ name }) => name)),
  defaultKey: null,
}
const TRACE_ID = '5b8efff798038103d269b633813fc60c'

type Attributes = Record<string, string | number | boolean>
type Sent = { name: string; attributes: Attributes; kind?: number; error?: boolean }

const anyValueOf = (value: string | number | boolean) => {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value }
}
const attributesOf = (attributes: Attributes) =>
  Object.entries(attributes).map(([key, value]) => ({ key, value: anyValueOf(value) }))

const traces = (spans: Sent[], scope: string, resource: Attributes) => ({
  resourceSpans: [
    {
      resource: { attributes: attributesOf(resource) },
      scopeSpans: [
        {
          scope: { name: scope },
          spans: spans.map(({ name, attributes, kind = 3, error = false }, i) => ({
            traceId: TRACE_ID,
            spanId: `eee19b7ec3c1b17${i}`,
            ...{ name, kind, endTimeUnixNano: '1766000070079350000' },
            attributes: attributesOf(attributes),
            status: error ? { code: 2 } : {},
          })),
        },
      ],
    },
  ],
})

/** The same request in protobuf, where ids are bytes. */
function toProtobuf(signal: Signal, request: object): Uint8Array {
  const root = new protobuf.Root()
  root.resolvePath = (_, target) =>
    `${import.meta.dir}/../../src/collect/otlp/proto/${target.split('/').at(-1)}`
  const [file, name] =
    signal === 'span'
      ? ['trace_service.proto', 'trace.v1.ExportTraceServiceRequest']
      : ['logs_service.proto', 'logs.v1.ExportLogsServiceRequest']
  const type = root.loadSync(file).lookupType(`opentelemetry.proto.collector.${name}`)
  const text = JSON.stringify(request, (key, value) =>
    key === 'traceId' || key === 'spanId' ? Buffer.from(value, 'hex').toString('base64') : value,
  )
  return type.encode(type.fromObject(JSON.parse(text))).finish()
}

/** What is read of a request, which must be the same in JSON and in protobuf. */
function read(signal: Signal, request: object, presets = Object.values(OTLP_PRESETS)): Reading[] {
  const json = new TextEncoder().encode(JSON.stringify(request))
  const readings = readOtlp(signal, presets, json, true, TARGET)
  expect(readOtlp(signal, presets, toProtobuf(signal, request), false, TARGET)).toEqual(readings)
  return readings
}

const readSpans = (spans: Sent[], scope = 'test', resource: Attributes = {}) =>
  read('span', traces(spans, scope, resource))

const CHAT = {
  'gen_ai.operation.name': 'chat',
  'gen_ai.provider.name': 'openai',
  'gen_ai.request.model': 'gpt-4o',
  'gen_ai.response.model': 'gpt-4o-2024-08-06',
  'gen_ai.usage.input_tokens': 1200,
  'gen_ai.usage.cache_read.input_tokens': 1024,
  'gen_ai.usage.output_tokens': 180,
  'gen_ai.usage.reasoning.output_tokens': 50,
}

describe('spans', () => {
  test('of the conventions for GenAI are counted, with the name of the service as key', () => {
    const spans = [{ name: 'chat gpt-4o', attributes: CHAT }]
    expect(readSpans(spans, 'x', { 'service.name': 'my-app' })).toEqual([
      {
        kind: 'record',
        record: {
          id: `["${TRACE_ID}","eee19b7ec3c1b170"]`,
          ...{ key: 'my-app', group: 'openai', at: 1766000070, isSuccess: true },
          dimensions: {
            model: 'gpt-4o-2024-08-06',
            provider: 'openai',
            operation: 'chat',
            status: '2xx',
          },
          measures: {
            input_tokens: 176,
            cache_read_tokens: 1024,
            output_tokens: 130,
            reasoning_tokens: 50,
          },
        },
      },
    ])
  })

  test('of agents, tools and databases are not counted', () => {
    const names = ['invoke_agent', 'execute_tool', 'create_agent', 'retrieval']
    const spans = [
      ...names.map((name) => ({
        name,
        attributes: { ...CHAT, 'gen_ai.operation.name': name, 'tallybook.key': 'k' },
      })),
      { name: 'postgres', attributes: { 'gen_ai.request.model': 'gpt-4o' } },
      { name: 'tool', attributes: { ...CHAT, 'mcp.method.name': 'tools/call' } },
    ]
    expect(readSpans(spans)).toEqual(spans.map(() => ({ kind: 'ignored' })))
  })

  test('that failed have the status of their error', () => {
    const statusOf = (attributes: Attributes, error = true) =>
      readSpans([{ name: 'chat', error, attributes: { ...CHAT, 'user.id': 'u', ...attributes } }])
    const failed = (status: string) => [{ record: { isSuccess: false, dimensions: { status } } }]
    expect(statusOf({ 'error.type': '429' })).toMatchObject(failed('429'))
    expect(statusOf({ 'error.type': 'timeout' })).toMatchObject(failed('timeout'))
    expect(statusOf({ 'http.response.status_code': 503 })).toMatchObject(failed('5xx'))
    expect(statusOf({})).toMatchObject(failed('error'))
    expect(statusOf({ 'error.type': 'X' }, false)).toMatchObject(failed('x'))
  })

  test('of OpenInference are counted if they call a model', () => {
    const attributes = {
      ...{ 'llm.model_name': 'gpt-4o', 'llm.system': 'openai', 'user.id': 'u' },
      ...{ 'llm.token_count.prompt': 28, 'llm.token_count.completion': 20 },
      'llm.token_count.prompt_details.cache_read': 8,
    }
    const kinds = ['LLM', 'CHAIN', 'AGENT', 'TOOL']
    const readings = readSpans(
      kinds.map((kind) => ({
        name: kind,
        attributes: { ...attributes, 'openinference.span.kind': kind },
      })),
    )
    expect(readings.map(({ kind }) => kind)).toEqual(['record', 'ignored', 'ignored', 'ignored'])
    expect(readings[0]).toMatchObject({
      record: { measures: { input_tokens: 20, cache_read_tokens: 8, output_tokens: 20 } },
    })
  })

  test('of OpenRouter: one for each generation, with the name of the key and the cost', () => {
    const attributes = {
      ...{ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'deepseek/v4' },
      ...{ 'gen_ai.usage.input_tokens': 150, 'gen_ai.usage.input_tokens.cached': 10 },
      ...{ 'gen_ai.usage.output_tokens': 50, 'gen_ai.usage.output_tokens.reasoning': 5 },
      'gen_ai.usage.total_cost': 0.0035,
      'trace.metadata.openrouter.api_key_name': 'my-key',
      'trace.metadata.openrouter.provider_name': 'Novita',
    }
    const readings = readSpans(
      ['LLM Generation', 'generation', 'provider attempt 1: x'].map((name) => ({
        name,
        attributes,
      })),
      'openrouter',
    )
    expect(readings.map(({ kind }) => kind)).toEqual(['record', 'ignored', 'ignored'])
    expect(readings[0]).toMatchObject({
      record: {
        ...{ key: 'my-key', name: 'my-key', dimensions: { provider: 'Novita' } },
        measures: {
          ...{ input_tokens: 140, cache_read_tokens: 10, output_tokens: 45 },
          ...{ reasoning_tokens: 5, cost_micros: 3500 },
        },
      },
    })
  })

  test('of Bifrost: one for each attempt, and none of the server', () => {
    const attributes = { ...CHAT, 'bifrost.virtual_key.id': 'vk', 'gen_ai.usage.cost': 0.01 }
    const spans = [2, 1, 3].map((kind) => ({ name: 'x', kind, attributes }))
    const readings = readSpans(spans, 'bifrost', { 'telemetry.sdk.name': 'bifrost' })
    expect(readings.map(({ kind }) => kind)).toEqual(['ignored', 'ignored', 'record'])
    expect(readings[2]).toMatchObject({ record: { key: 'vk', measures: { cost_micros: 10_000 } } })
  })

  test('of Cloudflare, and of the older integration of LiteLLM', () => {
    const usage = { 'gen_ai.usage.input_tokens': 3, 'gen_ai.usage.output_tokens': 4 }
    const cloudflare = { ...usage, 'gen_ai.model.provider': 'openai', user_id: 'u' }
    const litellm = {
      ...{ ...usage, 'llm.request.type': 'acompletion', 'gen_ai.system': 'openai' },
      ...{ 'metadata.user_api_key_hash': '88dc', 'gen_ai.cost.total_cost': 0.5 },
    }
    const readings = readSpans([
      { name: 'x', attributes: cloudflare },
      { name: 'Received Proxy Server Request', attributes: litellm },
      { name: 'raw_gen_ai_request', attributes: litellm },
    ])
    expect(readings).toMatchObject([
      { record: { key: 'u', dimensions: { provider: 'openai' } } },
      { record: { key: '88dc', measures: { cost_micros: 500_000, input_tokens: 3 } } },
      { kind: 'ignored' },
    ])
  })

  test('have the key that the configuration names', () => {
    const presets = Object.values(OTLP_PRESETS).map((preset) => ({
      ...preset,
      mapping: withPaths(preset.mapping, 'app.tenant', 'app.tenant_name'),
    }))
    const attributes = { ...CHAT, 'app.tenant': 't1', 'app.tenant_name': 'Tenant', 'user.id': 'u' }
    const [reading] = read('span', traces([{ name: 'chat', attributes }], 'x', {}), presets)
    expect(reading).toMatchObject({ record: { key: 't1', name: 'Tenant' } })
  })
})

test('the log records of Claude Code are counted, and no others', () => {
  const attributes = {
    ...{ 'user.email': 'a@b.c', 'session.id': '4f1c', 'event.sequence': 17 },
    ...{ 'event.timestamp': '2025-12-17T19:34:30.079Z', model: 'claude-sonnet-5' },
    ...{ input_tokens: '12', output_tokens: '340', cache_read_tokens: '15000' },
    ...{ cache_creation_tokens: '800', cost_usd: '0.0123' },
  }
  const events = ['claude_code.api_request', 'claude_code.api_error', 'claude_code.user_prompt']
  const request = {
    resourceLogs: [
      {
        resource: { attributes: attributesOf({ 'service.name': 'claude-code' }) },
        scopeLogs: [
          {
            scope: { name: 'com.anthropic.claude_code.events' },
            logRecords: events.map((event) => ({
              timeUnixNano: '1766000070079000000',
              body: { stringValue: event },
              attributes: attributesOf(
                event.endsWith('error')
                  ? { ...attributes, status_code: 529, error: 'Overloaded' }
                  : attributes,
              ),
            })),
          },
        ],
      },
    ],
  }
  const [counted, failed, prompt] = read('log', request)
  expect(counted).toMatchObject({
    record: {
      ...{ key: 'a@b.c', group: 'anthropic', at: 1766000070, isSuccess: true },
      measures: {
        ...{ input_tokens: 12, cache_read_tokens: 15000, cache_write_tokens: 800 },
        ...{ output_tokens: 340, cost_micros: 12_300 },
      },
    },
  })
  expect(failed).toMatchObject({ record: { isSuccess: false, dimensions: { status: '5xx' } } })
  expect(prompt).toEqual({ kind: 'ignored' })
})

test('a body that is neither is refused', () => {
  const text = new TextEncoder().encode('hello')
  const presets = Object.values(OTLP_PRESETS)
  for (const isJson of [true, false]) {
    expect(() => readOtlp('span', presets, text, isJson, TARGET)).toThrow(UnreadableBody)
  }
  expect(decodeRequest('span', new Uint8Array(), false)).toEqual([])
  expect(decodeRequest('log', new TextEncoder().encode('{}'), true)).toEqual([])
})

test('an answer says how many could not be read', () => {
  expect(encodeResponse('span', true, 0, '')).toBe('{}')
  expect(encodeResponse('log', false, 0, '')).toHaveLength(0)
  expect(encodeResponse('log', true, 2, 'no key')).toBe(
    '{"partialSuccess":{"rejectedLogRecords":2,"errorMessage":"no key"}}',
  )
  expect(Buffer.from(encodeResponse('span', false, 2, 'no key'))).toEqual(
    Buffer.from([10, 10, 8, 2, 18, 6, ...Buffer.from('no key')]),
  )
})
