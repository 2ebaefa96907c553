import { describe, expect, test } from 'bun:test'
import { LLM_CONVENTIONS } from '../../src/cli/llm-conventions.ts'
import { readRecord } from '../../src/collect/mapping.ts'
import { PRESETS } from '../../src/collect/presets.ts'
import type { Reading } from '../../src/collect/usage-record.ts'

// Records as senders post them, with the fields that matter, and what is counted.

const TARGET = {
  dimensions: new Set<string>(LLM_CONVENTIONS.dimensions.map(({ name }) => name)),
  measures: new Set<string>(LLM_CONVENTIONS.measures.map(({ name }) => name)),
  defaultKey: null,
}

const read = (preset: string, raw: unknown): Reading => readRecord(PRESETS[preset]!, raw, TARGET)

const LITELLM = {
  id: 'chatcmpl-1',
  call_type: 'acompletion',
  cache_hit: false,
  status: 'success',
  custom_llm_provider: 'anthropic',
  model: 'claude-sonnet-4-5',
  startTime: 1766000068.28466,
  endTime: 1766000070.07935,
  response_cost: 0.0123345,
  prompt_tokens: 5210,
  completion_tokens: 200,
  messages: [{ role: 'user', content: 'secret' }],
  response: 'redacted-by-litellm',
  metadata: {
    user_api_key_hash: '88dc28d0',
    user_api_key_alias: 'team-a-prod',
    usage_object: {
      cache_read_input_tokens: 4000,
      cache_creation_input_tokens: 1000,
      completion_tokens_details: { reasoning_tokens: 80 },
    },
  },
  error_information: { error_code: '', error_class: '' },
}

describe('litellm', () => {
  test('tokens are split by kind, and cost is in micros', () => {
    expect(read('litellm', LITELLM)).toEqual({
      kind: 'record',
      record: {
        id: '["chatcmpl-1","success",1766000068.28466]',
        key: '88dc28d0',
        name: 'team-a-prod',
        group: 'anthropic',
        at: 1766000070,
        isSuccess: true,
        dimensions: {
          model: 'claude-sonnet-4-5',
          provider: 'anthropic',
          operation: 'acompletion',
          status: '2xx',
        },
        measures: {
          input_tokens: 210,
          cache_read_tokens: 4000,
          cache_write_tokens: 1000,
          output_tokens: 120,
          reasoning_tokens: 80,
          cost_micros: 12335,
        },
      },
    })
  })

  test.each([
    [{ error_information: { error_code: '429' } }, '429'],
    [{ error_information: { error_code: '503', error_class: 'X' } }, '5xx'],
    [{ error_information: { error_code: '', error_class: 'Timeout' } }, 'timeout'],
    [{ error_information: null }, 'failure'],
  ])('a failure has the status of %o', (fields, status) => {
    const failure = { ...LITELLM, ...fields, status: 'failure', prompt_tokens: 0 }
    expect(read('litellm', failure)).toMatchObject({
      record: { isSuccess: false, dimensions: { status } },
    })
  })

  test.each([
    { cache_hit: true },
    { call_type: 'call_mcp_tool' },
    { metadata: { user_api_key_alias: 'litellm-internal-health-check' } },
  ])('%o is not counted', (fields) => {
    expect(read('litellm', { ...LITELLM, ...fields })).toEqual({ kind: 'ignored' })
  })

  test('a record without a key is malformed, unless there is a default', () => {
    const raw = { ...LITELLM, metadata: {} }
    expect(read('litellm', raw).kind).toBe('malformed')
    const target = { ...TARGET, defaultKey: 'unknown' }
    expect(readRecord(PRESETS.litellm!, raw, target)).toMatchObject({ record: { key: 'unknown' } })
  })

  test('what is no object is malformed', () => {
    for (const raw of [null, [], 'x', 7, undefined]) {
      expect(read('litellm', raw).kind).toBe('malformed')
    }
  })

  test('a success without tokens is unmetered, and what is not declared is not counted', () => {
    const { prompt_tokens: _, completion_tokens: __, ...raw } = LITELLM
    expect(read('litellm', raw)).toMatchObject({ record: { measures: { unmetered_requests: 1 } } })
    const grouped = readRecord(PRESETS.litellm!, raw, { ...TARGET, group: 'ours' })
    expect(grouped).toMatchObject({ record: { group: 'ours' } })
    const target = { ...TARGET, dimensions: new Set<string>(), measures: new Set<string>() }
    const bare = { dimensions: {}, measures: {} }
    expect(readRecord(PRESETS.litellm!, raw, target)).toMatchObject({ record: bare })
  })
})

test('kong: a request of AI Proxy, of its older form, and of any other route', () => {
  const raw = {
    request: { id: '5c1f', headers: { apikey: 'secret' } },
    response: { status: 200 },
    started_at: 1766000068284,
    consumer: { id: '0f2c', username: 'team-a', custom_id: '42' },
    service: { name: 'llm' },
  }
  const meta = { provider_name: 'openai', request_model: 'gpt-4o', response_model: 'gpt-4o-2' }
  const usage = { prompt_tokens: 28, completion_tokens: 20, cost: 0.00027 }
  const record = {
    id: '["5c1f"]',
    key: '42',
    name: 'team-a',
    group: 'openai',
    at: 1766000068,
    isSuccess: true,
    dimensions: { model: 'gpt-4o-2', provider: 'openai', status: '2xx' },
    measures: { input_tokens: 28, output_tokens: 20, cost_micros: 270 },
  }
  expect(read('kong', { ...raw, ai: { proxy: { meta, usage } } })).toEqual({
    kind: 'record',
    record,
  })
  const older = { 'ai-proxy': { meta, usage: { prompt_token: 28, completion_token: 20 } } }
  expect(read('kong', { ...raw, ai: older })).toMatchObject({
    record: { measures: { input_tokens: 28, output_tokens: 20 } },
  })
  expect(read('kong', { ...raw, response: { status: 404 } })).toMatchObject({
    record: { group: 'llm', isSuccess: false, dimensions: { status: '4xx' }, measures: {} },
  })
  const cached = { proxy: { meta, usage, cache: { cache_status: 'Hit' } } }
  expect(read('kong', { ...raw, ai: cached })).toEqual({ kind: 'ignored' })
})

test('apisix: the default format, and the one of the guide', () => {
  const counted = {
    key: 'team_a',
    at: 1766000068,
    dimensions: { model: 'gpt-4o', status: '2xx' },
    measures: {
      input_tokens: 176,
      cache_read_tokens: 1024,
      output_tokens: 130,
      reasoning_tokens: 50,
    },
  }
  const usual = {
    response: { status: 200 },
    consumer: { username: 'team_a' },
    start_time: 1766000068284,
    llm_summary: {
      model: 'gpt-4o',
      prompt_tokens: '1200',
      completion_tokens: '180',
      cache_read_input_tokens: '1024',
      cache_creation_input_tokens: '0',
      reasoning_tokens: '50',
    },
  }
  expect(read('apisix', usual)).toMatchObject({ record: { ...counted, id: null } })
  const ours = {
    ...{ request_id: '7f', ts: '1766000068.284', status: '200', consumer: 'team_a' },
    ...{ model: 'gpt-4o', prompt_tokens: '1200', completion_tokens: '180', cache_read: '1024' },
    ...{ cache_write: '0', reasoning: '50' },
  }
  expect(read('apisix', ours)).toMatchObject({ record: { ...counted, id: '["7f"]' } })
  const other = { ...ours, model: '', prompt_tokens: '0', completion_tokens: '0' }
  expect(read('apisix', other)).toMatchObject({ record: { measures: {} } })
})

test('portkey: the hook after a request', () => {
  const raw = {
    request: { json: { model: 'gpt-4o' }, headers: { authorization: 'Bearer sk-secret' } },
    response: {
      json: {
        id: 'chatcmpl-123',
        model: 'gpt-4o-2024-08-06',
        created: 1766000070,
        usage: {
          ...{ prompt_tokens: 1200, completion_tokens: 180 },
          prompt_tokens_details: { cached_tokens: 1024 },
        },
      },
      statusCode: 200,
    },
    provider: 'openai',
    requestType: 'chatComplete',
    metadata: { _user: 'u1' },
  }
  expect(read('portkey', raw)).toEqual({
    kind: 'record',
    record: {
      id: '["chatcmpl-123"]',
      ...{ key: 'u1', name: 'u1', group: 'openai', at: 1766000070, isSuccess: true },
      dimensions: {
        model: 'gpt-4o-2024-08-06',
        provider: 'openai',
        operation: 'chatComplete',
        status: '2xx',
      },
      measures: { input_tokens: 176, cache_read_tokens: 1024, output_tokens: 180 },
    },
  })
})

test('nginx: a line of the access log', () => {
  const raw = {
    ...{ id: 'f00d', time: '2026-11-30T12:00:00+01:00', status: 429, key: 'sk-1', model: '-' },
    ...{ input_tokens: '', output_tokens: '', cost: '' },
  }
  expect(read('nginx', raw)).toEqual({
    kind: 'record',
    record: {
      ...{ id: '["f00d"]', key: 'sk-1', at: 1796036400, isSuccess: false },
      ...{ dimensions: { status: '429' }, measures: {} },
    },
  })
  const { time: _, ...later } = { ...raw, ts: 1766000068.284, model: 'm', output_tokens: '3' }
  expect(read('nginx', later)).toMatchObject({
    record: { at: 1766000068, dimensions: { model: 'm' }, measures: { output_tokens: 3 } },
  })
})

test('a secret is hashed, and members with dots in their names are found', () => {
  const mapping = { key: 'headers.authorization', hash_key: true, dimensions: { model: 'a.b.c' } }
  const raw = { headers: { authorization: 'Bearer sk-1' }, 'a.b': { c: 'gpt-5' } }
  expect(readRecord(mapping, raw, TARGET)).toMatchObject({
    record: {
      key: new Bun.CryptoHasher('sha256').update('sk-1').digest('hex'),
      dimensions: { model: 'gpt-5' },
    },
  })
})
