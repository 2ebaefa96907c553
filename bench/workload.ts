import {
  type ApiKeyEntries,
  attributeApiKeyFlush,
  encodeApiKeyFlush,
} from '../src/events/api-key-flush.ts'

/** What every run posts: flushes over these API keys, one in fifty entries with a failure. */
export const API_KEYS = 10_000
export const GROUPS = 10
export const TOKENS = {
  dp: 'bench-dp-token',
  admin: 'bench-admin-token',
  auditor: 'bench-auditor-token',
}

export const groupOf = (apiKeyId: number) => 1 + (apiKeyId % GROUPS)

/** The catalog that knows keys 1 to `apiKeys` in ten groups. */
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

/** Entries of a flush: distinct keys taken from the first `apiKeys`. */
export function makeEntries(keys: number, apiKeys = API_KEYS): ApiKeyEntries {
  const ids = new Set<number>()
  while (ids.size < keys) ids.add(1 + Math.floor(Math.random() * apiKeys))
  const requests = Array.from(ids, () => 1 + Math.floor(Math.random() * 20))
  const successes = requests.map((count) => count - (Math.random() < 0.02 ? 1 : 0))
  return { ids: [...ids], requests, successes }
}

/** A flush's payload, as the log holds it. */
export const makePayload = (keys: number) =>
  encodeApiKeyFlush(attributeApiKeyFlush(makeEntries(keys), groupOf))

/** The same as a data-plane proxy posts it. */
export function makeBody(keys: number): string {
  const { ids, requests, successes } = makeEntries(keys)
  return JSON.stringify({
    keys: ids.map((id, i) => ({
      api_key_id: id,
      requests: requests[i],
      success_requests: successes[i],
    })),
  })
}
