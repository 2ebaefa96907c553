import { type ApiKeyEntries, attributeApiKeyFlush } from '../src/events/api-key-flush.ts'
import { encodeApiKeyFlush } from '../src/events/api-key-flush-payload.ts'

/** Every run posts flushes over these API keys; one in fifty entries has a failure. */
export const API_KEYS = 10_000
export const GROUPS = 10
export const TOKENS = {
  dp: 'bench-dp-token',
  admin: 'bench-admin-token',
  auditor: 'bench-auditor-token',
}

export const groupOf = (apiKeyId: number) => 1 + (apiKeyId % GROUPS)

/** Makes a catalog with the keys 1 to `apiKeys` in ten groups. */
export function makeCatalog(apiKeys = API_KEYS) {
  return {
    provider_groups: Array.from({ length: GROUPS }, (_, i) => ({ id: i + 1, name: null })),
    api_keys: Array.from({ length: apiKeys }, (_, i) => ({
      id: i + 1,
      group_id: groupOf(i + 1),
      name: null,
    })),
  }
}

/** Makes the entries of a flush: distinct random keys from the first `apiKeys`. */
export function makeEntries(keys: number, apiKeys = API_KEYS): ApiKeyEntries {
  const ids = new Set<number>()
  while (ids.size < keys) ids.add(1 + Math.floor(Math.random() * apiKeys))
  const requests = Array.from(ids, () => 1 + Math.floor(Math.random() * 20))
  const successes = requests.map((count) => count - (Math.random() < 0.02 ? 1 : 0))
  return { ids: [...ids], requests, successes }
}

/** Makes the payload of a flush as the log stores it. */
export const makePayload = (keys: number) =>
  encodeApiKeyFlush(attributeApiKeyFlush(makeEntries(keys), groupOf))

/** Makes the body of a flush as a data-plane proxy posts it. */
export function makeBody(keys: number, withDetails = false): string {
  const { ids, requests, successes } = makeEntries(keys)
  return JSON.stringify({
    keys: ids.map((id, i) => ({
      api_key_id: id,
      requests: requests[i],
      success_requests: successes[i],
      ...(withDetails && makeDetails(requests[i]!)),
    })),
  })
}

/** Dimensions and measures of the flushes that have them, in the order of flush.lua. */
export const DIMENSIONS = ['model', 'status']
export const MEASURES = ['input_tokens', 'output_tokens', 'cached_tokens', 'cost_micros']

const MODELS = [
  ...['gpt-5', 'gpt-5-mini', 'claude-sonnet-4-5', 'claude-haiku-4-5', 'gemini-2.5-pro'],
  ...['gemini-2.5-flash', 'deepseek-chat', 'text-embedding-3-small'],
]
const FAILURES = ['400', '429', '500']

/** Amounts of each measure in one request: up to these. */
const MOST = [2_000, 500, 1_000, 5_000]

/** Makes the dimensions and measures of an entry. Some models are used more than others. */
export function makeDetails(requests: number) {
  const model = MODELS[Math.floor(Math.random() ** 2 * MODELS.length)]!
  const failure = FAILURES[Math.floor(Math.random() * FAILURES.length)]!
  return {
    dimensions: { model, status: Math.random() < 0.95 ? '200' : failure },
    measures: Object.fromEntries(
      MEASURES.map((name, i) => [name, Math.floor(requests * Math.random() * MOST[i]!)]),
    ),
  }
}
