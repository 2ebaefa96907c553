import { hash } from 'node:crypto'

/** The tokens of a usual request, by the measures that count them. */
export type Tokens = Record<TokenKind, number>

export type TokenKind =
  | 'input_tokens'
  | 'cache_read_tokens'
  | 'cache_write_tokens'
  | 'output_tokens'
  | 'reasoning_tokens'

export type Model = {
  name: string
  operation: 'chat' | 'embeddings'
  /** Its share of the requests of its provider. */
  share: number
  /** True if batches of the night use it, and little else. */
  isNightly?: boolean
  tokens: Tokens
  /** Millionths of a dollar for a token. They are made up. */
  prices: Tokens
}

export type Provider = {
  id: number
  name: string
  /** Its share of all requests, and the share of its requests that usually fail. */
  share: number
  failing: number
  /** The share of its responses that do not say what they used. */
  unmetered: number
  models: Model[]
}

/** Makes tokens or prices: input, read from a cache, written to one, output, reasoning. */
const kinds = (...[input, read, written, output, reasoning]: number[]): Tokens => ({
  ...{ input_tokens: input!, cache_read_tokens: read!, cache_write_tokens: written! },
  ...{ output_tokens: output!, reasoning_tokens: reasoning! },
})

const chat = (name: string, share: number, tokens: Tokens, prices: Tokens): Model => ({
  ...{ name, operation: 'chat', share, tokens, prices },
})

/** The provider groups of the demo's gateway, with the models that they serve. */
export const PROVIDERS: Provider[] = [
  {
    ...{ id: 1, name: 'openai', share: 0.46, failing: 0.006, unmetered: 0.001 },
    models: [
      chat('gpt-5', 0.4, kinds(900, 700, 0, 260, 420), kinds(1.25, 0.125, 0, 10, 10)),
      chat('gpt-5-mini', 0.45, kinds(700, 400, 0, 180, 140), kinds(0.25, 0.025, 0, 2, 2)),
      {
        ...{ name: 'text-embedding-3-small', operation: 'embeddings', share: 0.15 },
        isNightly: true,
        tokens: kinds(380, 0, 0, 0, 0),
        prices: kinds(0.02, 0, 0, 0, 0),
      },
    ],
  },
  {
    ...{ id: 2, name: 'anthropic', share: 0.3, failing: 0.004, unmetered: 0 },
    models: [
      chat('claude-sonnet-4-5', 0.6, kinds(420, 2_600, 310, 520, 0), kinds(3, 0.3, 3.75, 15, 0)),
      chat('claude-haiku-4-5', 0.4, kinds(380, 900, 120, 240, 0), kinds(1, 0.1, 1.25, 5, 0)),
    ],
  },
  {
    ...{ id: 3, name: 'google', share: 0.14, failing: 0.009, unmetered: 0 },
    models: [
      chat('gemini-2.5-pro', 0.35, kinds(1_100, 300, 0, 300, 500), kinds(1.25, 0.31, 0, 10, 10)),
      chat('gemini-2.5-flash', 0.65, kinds(800, 200, 0, 210, 90), kinds(0.3, 0.075, 0, 2.5, 2.5)),
    ],
  },
  {
    ...{ id: 4, name: 'mistral', share: 0.07, failing: 0.012, unmetered: 0.004 },
    models: [chat('mistral-large', 1, kinds(760, 0, 0, 280, 0), kinds(2, 0, 0, 6, 0))],
  },
  {
    ...{ id: 5, name: 'self-hosted', share: 0.03, failing: 0.03, unmetered: 0.08 },
    models: [chat('llama-3.3-70b', 1, kinds(640, 0, 0, 330, 0), kinds(0.2, 0, 0, 0.2, 0))],
  },
]

const TEAMS = [
  ...['checkout', 'search', 'support-bot', 'growth'],
  ...['data-science', 'mobile', 'docs', 'ci'],
]

export type ApiKey = { id: number; group_id: number; name: string }
export type Key = { token_hash: string; quota_limit: number; name: string }

/** The API keys: every team has one at every provider. */
export const API_KEYS: ApiKey[] = TEAMS.flatMap((team, i) =>
  PROVIDERS.map(({ id, name }) => ({
    id: 100 * id + i + 1,
    group_id: id,
    name: `${team} on ${name}`,
  })),
)

/** The token keys: three users per team, the first without a limit. */
export const KEYS: Key[] = TEAMS.flatMap((team, i) =>
  ['lead', 'service', 'trial'].map((user, j) => ({
    token_hash: hash('sha256', `${team}/${user}`, 'hex'),
    quota_limit: j === 0 ? -1 : (i + 1) * 4_000_000 * j,
    name: `${team} ${user}`,
  })),
)

/**
 * Returns the load at an hour of the day in UTC (may be fractional), as a fraction of the peak
 * rate. It is least in the night, and greatest in the afternoon.
 */
export function loadAt(hour: number): number {
  const day = Math.max(0, Math.sin(((hour - 5) / 17) * Math.PI))
  const lunch = 0.12 * Math.exp(-((hour - 12) ** 2))
  return 0.12 + 0.8 * day ** 1.5 - lunch + 0.05 * Math.sin(7 * hour)
}

/** Returns a generator of numbers from 0 to 1, the same in every run (mulberry32). */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
