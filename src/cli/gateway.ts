import { hash } from 'node:crypto'

/** The provider groups of the demo's gateway: shares of all requests, and usual failure rates. */
export const PROVIDERS = [
  { id: 1, name: 'openai', share: 0.46, failing: 0.006 },
  { id: 2, name: 'anthropic', share: 0.3, failing: 0.004 },
  { id: 3, name: 'google', share: 0.14, failing: 0.009 },
  { id: 4, name: 'mistral', share: 0.07, failing: 0.012 },
  { id: 5, name: 'self-hosted', share: 0.03, failing: 0.03 },
] as const

const TEAMS = [
  'checkout',
  'search',
  'support-bot',
  'growth',
  'data-science',
  'mobile',
  'docs',
  'ci',
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
    quota_limit: j === 0 ? -1 : (i + 1) * 250_000 * j,
    name: `${team} ${user}`,
  })),
)

/**
 * Returns the load at a minute of the hour (may be fractional), as a fraction of the peak rate. It
 * never quite reaches 1.
 */
export function loadAt(minute: number): number {
  return 0.55 + 0.35 * Math.sin((minute / 60) * Math.PI) + 0.1 * Math.sin(minute)
}

/** Returns the share of requests that fail; mistral has an outage of eight minutes. */
export function failingAt(providerId: number, minute: number): number {
  const provider = PROVIDERS.find(({ id }) => id === providerId)
  const outage = providerId === 4 && minute >= 22 && minute < 30
  return outage ? 0.45 : (provider?.failing ?? 0)
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
