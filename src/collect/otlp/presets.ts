import type { Condition, Mapping } from '../mapping.ts'
import type { Signal } from './decode.ts'

// How spans and log records of known senders are read, with the names of decode.ts.

/** Names of attributes that gateways give the key of a caller; the conventions have none. */
const KEY = [
  ...['tallybook.key', 'litellm.api_key.hash', 'metadata.user_api_key_hash'],
  ...['bifrost.virtual_key.id', 'gen_ai.virtual_key_id', 'agw.api_key.name'],
  ...['trace.metadata.openrouter.api_key_name', 'user_id', 'user.id', 'enduser.id', 'service.name'],
].join(' | ')

const NAME = [
  ...['tallybook.name', 'litellm.metadata.user_api_key_alias', 'metadata.user_api_key_alias'],
  ...['bifrost.virtual_key.name', 'gen_ai.virtual_key_name', 'agw.api_key.name'],
  'trace.metadata.openrouter.api_key_name',
].join(' | ')

const TOKENS = {
  input: [
    ...['tallybook.input_tokens', 'gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens'],
    'llm.token_count.prompt',
  ].join(' | '),
  cache_read: [
    ...['gen_ai.usage.cache_read.input_tokens', 'gen_ai.usage.cache_read_input_tokens'],
    ...['gen_ai.usage.input_tokens.cached', 'gen_ai.usage.input_token_details.cached_read_tokens'],
    'llm.token_count.prompt_details.cache_read',
  ].join(' | '),
  cache_write: [
    ...['gen_ai.usage.cache_creation.input_tokens', 'gen_ai.usage.cache_creation_input_tokens'],
    'gen_ai.usage.input_tokens.cache_write',
    'gen_ai.usage.input_token_details.cached_write_tokens',
    'llm.token_count.prompt_details.cache_write | llm.token_count.prompt_details.cache_creation',
  ].join(' | '),
  output: [
    ...['gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens'],
    'llm.token_count.completion',
  ].join(' | '),
  reasoning: [
    ...['gen_ai.usage.reasoning.output_tokens', 'gen_ai.usage.reasoning_tokens'],
    ...['gen_ai.usage.output_tokens.reasoning'],
    'gen_ai.usage.output_token_details.reasoning_tokens',
    'llm.token_count.completion_details.reasoning',
  ].join(' | '),
}

/** Spans by the semantic conventions of OpenTelemetry for GenAI, or by OpenInference. */
const SPAN: Mapping = {
  id: ['otel.trace_id', 'otel.span_id'],
  key: KEY,
  name: NAME,
  group: 'gen_ai.provider.name | gen_ai.system | llm.provider | llm.system',
  time: 'otel.end_time',
  status: 'http.response.status_code | http.status_code | http.status',
  error: 'error.type | otel.error',
  tokens: TOKENS,
  cost: [
    ...['litellm.cost.total', 'gen_ai.cost.total_cost', 'gen_ai.usage.total_cost'],
    ...['gen_ai.usage.cost', 'agw.ai.usage.cost.total', 'llm.cost.total'],
  ].join(' | '),
  dimensions: {
    model: [
      ...['gen_ai.response.model', 'gen_ai.request.model'],
      ...['llm.model_name', 'embedding.model_name'],
    ].join(' | '),
    provider: [
      ...['trace.metadata.openrouter.provider_name', 'gen_ai.provider.name', 'gen_ai.system'],
      ...['llm.provider', 'llm.system'],
    ].join(' | '),
    operation: 'gen_ai.operation.name | openinference.span.kind',
  },
}

const TOOLS: Condition[] = [{ path: 'gen_ai.tool.name' }, { path: 'mcp.method.name' }]

/** Operations that call a model. Those of agents and tools repeat the usage of these. */
const MODEL_CALLS: Condition[] = [
  {
    path: 'gen_ai.operation.name',
    in: ['chat', 'text_completion', 'generate_content', 'embeddings', 'completion', 'acompletion'],
  },
  { path: 'openinference.span.kind', in: ['LLM', 'EMBEDDING'] },
]

export type OtlpPreset = {
  signal: Signal
  /** What tells spans and log records of this sender from others: one of these. */
  when: readonly Condition[]
  mapping: Mapping
}

/** The first preset that a span or a log record belongs to reads it. */
export const OTLP_PRESETS: Readonly<Record<string, OtlpPreset>> = {
  openrouter: {
    signal: 'span',
    when: [{ path: 'otel.scope', in: ['openrouter'] }],
    // Below it are spans of its attempts.
    mapping: { ...SPAN, only: [{ path: 'otel.name', in: ['LLM Generation'] }] },
  },
  bifrost: {
    signal: 'span',
    when: [{ path: 'telemetry.sdk.name', in: ['bifrost'] }],
    // Each attempt is a client's span. That of the server repeats parts of them.
    mapping: { ...SPAN, only: [{ path: 'otel.kind', in: ['CLIENT'] }], except: TOOLS },
  },
  cloudflare: {
    signal: 'span',
    when: [{ path: 'gen_ai.model.provider' }],
    mapping: {
      ...SPAN,
      group: 'gen_ai.model.provider',
      dimensions: { ...SPAN.dimensions, provider: 'gen_ai.model.provider' },
    },
  },
  litellm: {
    signal: 'span',
    // The older of its two integrations.
    when: [{ path: 'llm.request.type' }, { path: 'otel.name', in: ['raw_gen_ai_request'] }],
    mapping: {
      ...SPAN,
      except: [{ path: 'otel.name', in: ['raw_gen_ai_request'] }],
      dimensions: { ...SPAN.dimensions, operation: 'gen_ai.operation.name | llm.request.type' },
    },
  },
  genai: {
    signal: 'span',
    when: MODEL_CALLS,
    mapping: { ...SPAN, except: [{ path: 'litellm.request.purpose' }, ...TOOLS] },
  },
  'claude-code': {
    signal: 'log',
    when: [{ path: 'otel.event', in: ['claude_code.api_request', 'claude_code.api_error'] }],
    mapping: {
      id: ['session.id | user.id', 'event.sequence', 'event.timestamp', 'otel.event'],
      key: 'tallybook.key | user.email | user.account_uuid | user.id',
      name: 'user.email',
      group: '"anthropic"',
      time: 'event.timestamp | otel.time',
      status: 'status_code',
      error: 'error',
      tokens: {
        input: 'input_tokens',
        cache_read: 'cache_read_tokens',
        cache_write: 'cache_creation_tokens',
        output: 'output_tokens',
        input_has_cache: false,
      },
      cost: 'cost_usd',
      dimensions: { model: 'model', provider: '"anthropic"', operation: '"chat"' },
    },
  },
}

/** The attribute by which a log record names the mapping of `/ingest/<name>` that reads it. */
export const MAPPING_ATTRIBUTE = 'tallybook.mapping'

/** Presets for log records that name one of these mappings, as shippers of files make them. */
export const presetsOf = (mappings: Readonly<Record<string, Mapping>>): OtlpPreset[] =>
  Object.entries(mappings).map(([name, mapping]) => ({
    signal: 'log',
    when: [{ path: MAPPING_ATTRIBUTE, in: [name] }],
    mapping,
  }))
