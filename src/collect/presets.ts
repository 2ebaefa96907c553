import type { Mapping } from './mapping.ts'

// How records that known senders post are read. docs/guides/collect.md says what each guarantees.

/** LiteLLM's `generic_api` callback: StandardLoggingPayload. */
const litellm: Mapping = {
  except: [
    { path: 'cache_hit', in: [true] },
    { path: 'call_type', in: ['call_mcp_tool'] },
    {
      path: 'metadata.user_api_key_alias',
      in: ['litellm-internal-health-check'],
    },
  ],
  // Failed attempts of one request have one id.
  id: ['id', 'status', 'startTime'],
  key: 'metadata.user_api_key_hash | metadata.user_api_key_alias',
  name: 'metadata.user_api_key_alias',
  group: 'custom_llm_provider',
  time: 'endTime | startTime',
  status: 'status',
  error: 'error_information.error_code | error_information.error_class',
  tokens: {
    input: 'prompt_tokens',
    cache_read: [
      'metadata.usage_object.cache_read_input_tokens',
      'metadata.usage_object.prompt_tokens_details.cached_tokens',
    ].join(' | '),
    cache_write: [
      'metadata.usage_object.cache_creation_input_tokens',
      'metadata.usage_object.prompt_tokens_details.cache_creation_tokens',
    ].join(' | '),
    output: 'completion_tokens',
    reasoning: 'metadata.usage_object.completion_tokens_details.reasoning_tokens',
  },
  cost: 'response_cost',
  dimensions: {
    model: 'model | model_group',
    provider: 'custom_llm_provider',
    operation: 'call_type',
  },
}

/** Kong's `http-log` plugin, with what AI Proxy adds from 3.6 on. */
const kong: Mapping = {
  except: [{ path: 'ai.proxy.cache.cache_status | ai.ai-proxy.cache.cache_status', in: ['Hit'] }],
  id: ['request.id'],
  key: 'consumer.custom_id | consumer.id | authenticated_entity.id',
  name: 'consumer.username',
  group: 'ai.proxy.meta.provider_name | ai.ai-proxy.meta.provider_name | service.name',
  time: 'started_at',
  status: 'response.status',
  tokens: {
    if: 'ai',
    input: ['prompt_tokens', 'prompt_token'].flatMap(kongUsage).join(' | '),
    output: ['completion_tokens', 'completion_token'].flatMap(kongUsage).join(' | '),
  },
  cost: kongUsage('cost').join(' | '),
  dimensions: {
    model: [
      ...['ai.proxy.meta.response_model', 'ai.proxy.meta.request_model'],
      ...['ai.ai-proxy.meta.response_model', 'ai.ai-proxy.meta.request_model'],
    ].join(' | '),
    provider: 'ai.proxy.meta.provider_name | ai.ai-proxy.meta.provider_name',
  },
}

/** The places of a count of Kong: AI Proxy has had two names in the log. */
function kongUsage(name: string): string[] {
  return [`ai.proxy.usage.${name}`, `ai.ai-proxy.usage.${name}`]
}

/** APISIX's `http-logger`, as it is or with the log format of the guide. */
const apisix: Mapping = {
  id: ['request_id | response.headers.x-request-id | request.headers.x-request-id'],
  key: 'consumer.username | consumer',
  name: 'consumer.username | consumer',
  group: 'route_id',
  time: 'ts | start_time | time',
  status: 'response.status | status',
  tokens: {
    if: 'llm_summary.model | model',
    input: 'llm_summary.prompt_tokens | prompt_tokens',
    cache_read: 'llm_summary.cache_read_input_tokens | cache_read',
    cache_write: 'llm_summary.cache_creation_input_tokens | cache_write',
    output: 'llm_summary.completion_tokens | completion_tokens',
    reasoning: 'llm_summary.reasoning_tokens | reasoning',
  },
  dimensions: { model: 'llm_summary.model | model' },
}

/** The plugin `default.log` of Portkey's gateway, after a request. */
const portkey: Mapping = {
  id: ['response.json.id'],
  key: 'metadata.api_key | metadata._user',
  name: 'metadata.name | metadata._user',
  group: 'provider',
  time: 'response.json.created',
  status: 'response.statusCode',
  tokens: {
    input: 'response.json.usage.prompt_tokens | response.json.usage.input_tokens',
    cache_read: [
      'response.json.usage.prompt_tokens_details.cached_tokens',
      'response.json.usage.input_tokens_details.cached_tokens',
      'response.json.usage.cache_read_input_tokens',
    ].join(' | '),
    cache_write: 'response.json.usage.cache_creation_input_tokens',
    output: 'response.json.usage.completion_tokens | response.json.usage.output_tokens',
    reasoning: [
      'response.json.usage.completion_tokens_details.reasoning_tokens',
      'response.json.usage.output_tokens_details.reasoning_tokens',
    ].join(' | '),
  },
  dimensions: {
    model: 'response.json.model | request.json.model',
    provider: 'provider',
    operation: 'requestType',
  },
}

/** An access log of nginx in JSON, with the log format of the guide. */
const nginx: Mapping = {
  id: ['id | request_id'],
  key: 'key',
  name: 'name',
  group: 'group',
  time: 'ts | time | date | timestamp',
  status: 'status',
  tokens: {
    if: 'model',
    input: 'input_tokens',
    cache_read: 'cache_read_tokens',
    cache_write: 'cache_write_tokens',
    output: 'output_tokens',
    reasoning: 'reasoning_tokens',
  },
  cost: 'cost',
  dimensions: { model: 'model', provider: 'provider', operation: 'operation' },
}

export const PRESETS: Readonly<Record<string, Mapping>> = { litellm, kong, apisix, portkey, nginx }
