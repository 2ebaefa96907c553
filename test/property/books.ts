import fc from 'fast-check'
import { count } from './arbitraries.ts'
import { addMeasures, type Measures } from './details.ts'
import type { Model } from './model.ts'
import { GROUPS, SLOTS } from './slots.ts'

/** Amounts of accounts as a body names them; ids and hashes are small until a run moves them. */
export type Rows = {
  provider_groups: { id: number; total_requests: number; success_requests: number }[]
  api_keys: { id: number; total_requests: number; success_requests: number }[]
  keys: {
    token_hash: string
    request_count: number
    used_tokens: number
    quota_used: number
    last_accessed_at?: number
  }[]
}

/** A step of bookkeeping. `nth` selects the event that is reversed, or offset by an adjustment. */
export type ActStep =
  | { do: 'offset'; nth: number }
  | { do: 'open'; rows: Rows }
  | { do: 'adjust'; rows: Rows }
  | { do: 'reverse'; nth: number }

/** What an event added to an account: the kind, the id, and its sums. */
export type Effect = {
  kind: 'groups' | 'apiKeys' | 'keys'
  id: number | string
  sums: bigint[]
  measures?: Measures
}

/** An event that may be reversed. */
export type Counted = {
  at: string
  kind: 'flush' | 'opening' | 'adjustment' | 'adoption'
  effects: Effect[]
  isReversed: boolean
  /** Of a flush, the number of the quarter hour in which it was counted. */
  quarter?: number
  /** Its number among all events, and when quota periods count it. */
  event: number
  effectiveMs: number
}

/** The expected answer to an act: null if it is recorded, or the status and the error. */
type Refusal = [status: number, error: string] | null

/** Returns the effects of amounts. */
export function toEffects({ provider_groups, api_keys, keys }: Rows): Effect[] {
  const rated = (kind: 'groups' | 'apiKeys', rows: Rows['api_keys']): Effect[] =>
    rows.map((row) => ({
      ...{ kind, id: row.id },
      sums: [BigInt(row.total_requests), BigInt(row.success_requests)],
    }))
  return [
    ...rated('groups', provider_groups),
    ...rated('apiKeys', api_keys),
    ...keys.map(
      (row): Effect => ({
        ...{ kind: 'keys', id: row.token_hash },
        sums: [BigInt(row.request_count), BigInt(row.used_tokens), BigInt(row.quota_used)],
      }),
    ),
  ]
}

/** Returns amounts that offset effects, or null if one is too large for a body. */
export function offset(effects: readonly Effect[]): Rows | null {
  const byAccount = Map.groupBy(effects, ({ kind, id }) => `${kind} ${id}`)
  const totals = [...byAccount.values()].map((same) => ({
    ...same[0]!,
    sums: same[0]!.sums.map((_, i) => -Number(same.reduce((sum, one) => sum + one.sums[i]!, 0n))),
  }))
  if (!totals.every(({ sums }) => sums.every(Number.isSafeInteger))) return null
  const rated = (of: Effect['kind']) =>
    totals
      .filter(({ kind }) => kind === of)
      .map(({ id, sums }) => ({
        ...{ id: id as number, total_requests: sums[0]! + 0, success_requests: sums[1]! + 0 },
      }))
  return {
    provider_groups: rated('groups'),
    api_keys: rated('apiKeys'),
    keys: totals
      .filter(({ kind }) => kind === 'keys')
      .map(({ id, sums: [request_count, used_tokens, quota_used] }) => ({
        token_hash: id as string,
        ...{ request_count: request_count! + 0, used_tokens: used_tokens! + 0 },
        quota_used: quota_used! + 0,
      })),
  }
}

/** The `as_of` of all opening balances. */
export const AS_OF = '2026-01-31T12:00:00Z'
const OPENED_MS = Date.parse(AS_OF)

/** The books of a model: what was counted by which event, and the rules for taking it back. */
export class NaiveBooks {
  readonly counted: Counted[] = []

  constructor(private readonly model: Model) {}

  open(rows: Rows, at: string): Refusal {
    const effects = toEffects(rows)
    if (effects.some((effect) => this.#sumsOf(effect) === null)) return [422, 'unknown accounts']
    const open = this.counted
      .filter(({ kind, isReversed }) => kind === 'opening' && !isReversed)
      .flatMap((opening) => opening.effects)
    const isOpen = (effect: Effect) =>
      open.some(({ kind, id }) => kind === effect.kind && id === effect.id)
    if (effects.some(isOpen)) return [409, 'already open']
    this.apply(effects, 1n)
    for (const { token_hash, last_accessed_at = 0 } of rows.keys) {
      const key = this.model.keys.get(token_hash)!
      if (BigInt(last_accessed_at) > key.last) key.last = BigInt(last_accessed_at)
    }
    // Until its `as_of`, which is no longer in it.
    this.#note({ at, kind: 'opening', effects, isReversed: false }, OPENED_MS - 1)
    return null
  }

  adjust(rows: Rows, at: string): Refusal {
    const effects = toEffects(rows)
    if (effects.some((effect) => this.#sumsOf(effect) === null)) return [422, 'unknown accounts']
    if (this.#breaks(effects, 1n)) return [409, 'total out of range']
    this.apply(effects, 1n)
    this.#note({ at, kind: 'adjustment', effects, isReversed: false }, Date.now())
    return null
  }

  reverse(counted: Counted): Refusal {
    const { kind, effects, isReversed } = counted
    const isNothing = effects.every(
      ({ sums, measures }) => sums.every((sum) => sum === 0n) && !measures?.size,
    )
    if (kind === 'adoption' || (kind === 'flush' && isNothing)) return [422, 'counts nothing']
    if (isReversed) return [409, 'already reversed']
    const { quotas } = this.model
    // A reset has taken away the quota of what came before.
    const left = effects.map((effect) =>
      effect.kind === 'keys' && quotas.isReset(String(effect.id), counted.event)
        ? { ...effect, sums: effect.sums.with(2, 0n) }
        : effect,
    )
    if (this.#breaks(left, -1n)) return [409, 'total out of range']
    this.apply(left, -1n)
    const taken = left.map(({ sums, measures = new Map<string, bigint>(), ...effect }) => ({
      ...effect,
      sums: sums.map((sum) => -sum),
      measures: new Map(Array.from(measures, ([name, value]) => [name, -value] as const)),
    }))
    quotas.note(taken, counted.effectiveMs)
    if (counted.quarter !== undefined) this.model.usage.note(taken, counted.quarter)
    counted.isReversed = true
    return null
  }

  /** Returns false if there is no such key. */
  reset(hash: string): boolean {
    const key = this.model.keys.get(hash)
    if (key === undefined) return false
    key.used.quota = 0n
    this.model.quotas.reset(hash)
    return true
  }

  #note(counted: Omit<Counted, 'event' | 'effectiveMs'>, effectiveMs: number): void {
    const event = this.model.quotas.note(counted.effects, effectiveMs)
    this.counted.push({ ...counted, event, effectiveMs })
  }

  /** Adds effects to totals, or takes them back. */
  apply(effects: readonly Effect[], sign: bigint): void {
    for (const effect of effects) {
      const add = (index: number) => sign * (effect.sums[index] ?? 0n)
      const counted =
        effect.kind === 'keys'
          ? this.model.keys.get(effect.id as string)!
          : this.model[effect.kind].get(effect.id as number)!
      addMeasures(counted.measures, effect.measures ?? new Map(), sign)
      if (effect.kind === 'keys') {
        const { used } = this.model.keys.get(effect.id as string)!
        used.requests += add(0)
        used.tokens += add(1)
        used.quota += add(2)
      } else {
        const row = this.model[effect.kind].get(effect.id as number)!
        row.requests += add(0)
        row.successes += add(1)
      }
    }
  }

  /** True if a total would be below zero, or have more successes than requests. */
  #breaks(effects: readonly Effect[], sign: bigint): boolean {
    this.apply(effects, sign)
    const broken = effects.some((effect) => {
      const sums = this.#sumsOf(effect)!
      return sums.some((sum) => sum < 0n) || (effect.kind !== 'keys' && sums[1]! > sums[0]!)
    })
    this.apply(effects, -sign)
    return broken
  }

  #sumsOf({ kind, id }: Effect): bigint[] | null {
    if (kind === 'keys') {
      const used = this.model.keys.get(id as string)?.used
      return used ? [used.requests, used.tokens, used.quota] : null
    }
    const row = this.model[kind].get(id as number)
    return row ? [row.requests, row.successes] : null
  }
}

const slot = fc.integer({ min: 1, max: SLOTS })
const group = fc.integer({ min: 1, max: GROUPS })

/** Amounts of one account, or of a few. */
function rowsOf(pair: fc.Arbitrary<[number, number]>, isOpening: boolean): fc.Arbitrary<Rows> {
  const rated = (ids: fc.Arbitrary<number>) =>
    fc.uniqueArray(
      fc.tuple(ids, pair).map(([id, [total_requests, success_requests]]) => ({
        ...{ id, total_requests, success_requests },
      })),
      { selector: ({ id }) => id, maxLength: 2 },
    )
  const key = fc
    .record({
      token_hash: slot.map(String),
      amounts: pair,
      last: isOpening ? fc.constantFrom(0, 5, 1.75e9) : fc.constant(undefined),
    })
    .map(({ token_hash, amounts: [request_count, used_tokens], last }) => ({
      ...{ token_hash, request_count, used_tokens, quota_used: used_tokens },
      ...(last !== undefined && { last_accessed_at: last }),
    }))
  const few = <Row>(rows: fc.Arbitrary<Row[]>) =>
    fc.oneof({ weight: 2, arbitrary: fc.constant([] as Row[]) }, { weight: 1, arbitrary: rows })
  return fc
    .record({
      provider_groups: few(rated(group)),
      api_keys: few(rated(slot)),
      keys: few(fc.uniqueArray(key, { selector: ({ token_hash }) => token_hash, maxLength: 2 })),
    })
    .filter((rows) => Object.values(rows).some((list) => list.length > 0))
}

/** Requests and successes that a total can start with. */
const balance = fc
  .tuple(count, count)
  .map(([a, b]): [number, number] => [Math.max(a, b), Math.min(a, b)])

/** Differences of requests and successes: most leave a total that may be. */
const difference: fc.Arbitrary<[number, number]> = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: -3, max: 5 }).map((n): [number, number] => [n, n]) },
  { weight: 2, arbitrary: balance },
  { weight: 2, arbitrary: balance.map(([a, b]): [number, number] => [-a, -b]) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -3, max: 3 })),
  },
)

/** Steps of bookkeeping. */
export const actStep: fc.Arbitrary<ActStep> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('open'), rows: rowsOf(balance, true) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('adjust'), rows: rowsOf(difference, false) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('reverse'), nth: fc.nat(19) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('offset'), nth: fc.nat(9) }) },
) as fc.Arbitrary<ActStep>
