import { API_KEYS, KEYS, type Model, PROVIDERS, type Provider, type TokenKind } from './gateway.ts'
import type { LLM_CONVENTIONS } from './llm-conventions.ts'

// The counts of the demo's proxies, by the conventions of docs/guides/llm-gateways.md.

type Dimensions = Record<(typeof LLM_CONVENTIONS.dimensions)[number]['name'], string>
type Measures = Partial<Record<(typeof LLM_CONVENTIONS.measures)[number]['name'], number>>

/** The load of a proxy, and its provider's state, between two flushes. */
export type Interval = {
  requests: number
  /** The load, as a fraction of the peak rate: more requests are refused when it is high. */
  load: number
  /** True while a provider is down. */
  isOutage: boolean
}

/** The provider that has an outage. */
const BROKEN = 4

/** How requests fail that fail for no other reason, and how often. */
const FAILURES = [
  ['429', 0.6],
  ['4xx', 0.25],
  ['timeout', 0.15],
] as const

/** Spreads requests over the API keys and models: an entry for each status that they had. */
export function countApiKeys({ requests, load, isOutage }: Interval, chance: () => number) {
  return API_KEYS.flatMap(({ id, group_id }) => {
    const provider = PROVIDERS.find((one) => one.id === group_id)!
    const ofKey = (requests * provider.share) / (API_KEYS.length / PROVIDERS.length)
    return provider.models.flatMap((model) => {
      const expected = ofKey * model.share * (model.isNightly ? atNight(load) : 1)
      const count = Math.floor(expected * 2 * chance() + chance())
      if (count === 0) return []
      const isBroken = isOutage && group_id === BROKEN
      const failed = draw(count, isBroken ? 0.9 : provider.failing * (0.5 + load), chance)
      const status = isBroken ? '5xx' : pickFailure(chance())
      const entry = (requests: number, status: string) => ({
        ...{ api_key_id: id, requests, success_requests: status === '2xx' ? requests : 0 },
        dimensions: dimensionsOf(provider, model, status),
        ...(status === '2xx' ? { measures: measuresOf(provider, model, requests, chance) } : {}),
      })
      return [
        ...(failed < count ? [entry(count - failed, '2xx')] : []),
        ...(failed > 0 ? [entry(failed, status)] : []),
      ]
    })
  })
}

/** Returns by how much batches of the night exceed what other requests have at a load. */
const atNight = (load: number) => Math.max(0, 0.6 - load) / load

/** Spreads requests over the token keys, last accessed at this Unix second. */
export function countKeys({ requests }: Interval, at: number, chance: () => number) {
  return KEYS.flatMap(({ token_hash }) => {
    const count = Math.floor((requests / KEYS.length) * 2 * chance())
    if (count === 0) return []
    const provider = pick(PROVIDERS, chance())
    const model = pick(provider.models, chance())
    const measures = measuresOf(provider, model, count, chance)
    const tokens = sumOf(tokenKinds(model), (kind) => measures[kind]!)
    const dimensions = dimensionsOf(provider, model, '2xx')
    const entry = { token_hash, requests: count, tokens, last_accessed_at: at }
    return [{ ...entry, dimensions, measures }]
  })
}

const dimensionsOf = (provider: Provider, model: Model, status: string): Dimensions => ({
  ...{ model: model.name, provider: provider.name, operation: model.operation, status },
})

/** The kinds of tokens that requests of a model have. */
const tokenKinds = ({ tokens }: Model) =>
  (Object.keys(tokens) as TokenKind[]).filter((kind) => tokens[kind] > 0)

function measuresOf(
  { unmetered }: Provider,
  model: Model,
  requests: number,
  chance: () => number,
): Measures {
  const unknown = draw(requests, unmetered, chance)
  const kinds = tokenKinds(model)
  const tokens: Partial<Record<TokenKind, number>> = Object.fromEntries(
    kinds.map((kind) => [
      kind,
      Math.round((requests - unknown) * model.tokens[kind] * (0.8 + 0.4 * chance())),
    ]),
  )
  return {
    ...tokens,
    cost_micros: Math.round(sumOf(kinds, (kind) => tokens[kind]! * model.prices[kind])),
    ...(unknown > 0 ? { unmetered_requests: unknown } : {}),
  }
}

/** Returns how many of `count` requests have a property that they have with a probability. */
function draw(count: number, probability: number, chance: () => number): number {
  let drawn = 0
  for (let i = 0; i < count && probability > 0; i++) if (chance() < probability) drawn++
  return drawn
}

function pickFailure(at: number): string {
  let left = at
  for (const [status, share] of FAILURES) {
    if (left < share) return status
    left -= share
  }
  return FAILURES[0][0]
}

/** Picks one by the shares of all. */
function pick<One extends { share: number }>(all: readonly One[], at: number): One {
  let left = at
  for (const one of all) {
    if (left < one.share) return one
    left -= one.share
  }
  return all[0]!
}

const sumOf = <One>(all: readonly One[], amountOf: (one: One) => number): number =>
  all.reduce((sum, one) => sum + amountOf(one), 0)
