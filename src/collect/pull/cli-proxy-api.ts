import type { Mapping } from '../mapping.ts'
import type { Source } from './source.ts'

/** Records of an answer: at most so many are lost with one. */
const COUNT = 100
const TIMEOUT_MS = 10_000

const MAPPING: Mapping = {
  only: [{ path: 'tokens' }],
  except: [{ path: 'generate', in: [false] }],
  id: ['timestamp', 'request_id', 'auth_index'],
  key: 'api_key',
  hash_key: true,
  group: 'provider',
  time: 'timestamp',
  status: 'fail.status_code',
  error: 'failure',
  tokens: {
    input: 'token_breakdown.input.total_tokens | tokens.input_tokens',
    cache_read: 'token_breakdown.input.cache_read_tokens | tokens.cache_read_tokens',
    cache_write: 'token_breakdown.input.cache_write_tokens | tokens.cache_creation_tokens',
    output: 'token_breakdown.output.total_tokens | tokens.output_tokens',
    reasoning: 'token_breakdown.output.reasoning_tokens | tokens.reasoning_tokens',
  },
  dimensions: { model: 'model', provider: 'provider', operation: 'endpoint' },
}

/**
 * The usage queue of CLIProxyAPI. It forgets what it has answered, so records are lost if the
 * answer is, if this process is killed before they are on the disk, or if nobody reads them within
 * its retention.
 */
export function cliProxyApiSource(url: string, secret: string | null): Source {
  const endpoint = new URL('/v0/management/usage-queue', url)
  endpoint.searchParams.set('count', String(COUNT))
  return {
    mapping: MAPPING,
    begin: () => Promise.resolve(''),
    read: async () => {
      const response = await fetch(endpoint, {
        headers: secret === null ? {} : { authorization: `Bearer ${secret}` },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      if (!response.ok) throw new Error(`CLIProxyAPI answered ${response.status}`)
      const all = (await response.json()) as (Record<string, unknown> | null)[]
      const records = all.map((one) => ({ ...one, failure: one?.failed ? 'error' : null }))
      return { records, cursor: '', isFull: all.length === COUNT }
    },
  }
}
