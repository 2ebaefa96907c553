import { OTHER } from '../events/details.ts'
import type { FullScope } from './accept.ts'
import { type Scope, scopeKey } from './decide.ts'
import { hashCombination } from './hash.ts'
import type { Today } from './today.ts'

/** A value of each dimension; null where an entry has none. */
export type Values = readonly (string | null)[]

/** What is known of the values of one dimension. */
export class KnownValues {
  #accepted = new Set<string>()
  #isFull = false

  /** Returns undefined if that is not known. */
  isAccepted(value: string): boolean | undefined {
    if (this.#accepted.has(value)) return true
    return this.#isFull ? false : undefined
  }

  accept(value: string): void {
    this.#accepted.add(value)
  }

  /** Notes that these are all values that are ever accepted. */
  complete(values: Set<string>): void {
    this.#accepted = values
    this.#isFull = true
  }
}

/** A combination of accepted values and OTHER, and which accounts accept it. */
export class Combination {
  /** Absent accounts are not known. */
  readonly accounts = {
    provider_group: new Map<number, boolean>(),
    api_key: new Map<number, boolean>(),
    key: new Map<string, boolean>(),
  }
  /** True if it has no other value than OTHER. Every account accepts it. */
  readonly isFree: boolean
  readonly hasOther: boolean
  #hash = ''

  constructor(
    private readonly dimensions: readonly string[],
    readonly values: Values,
  ) {
    this.hasOther = values.includes(OTHER)
    this.isFree = values.every((value) => value === null || value === OTHER)
  }

  get hash(): string {
    if (this.#hash === '') this.#hash = hashCombination(this.dimensions, this.values)
    return this.#hash
  }
}

/** The combinations of some dimensions. */
export class Combinations {
  readonly #known = new Map<string, Combination>()

  constructor(
    private readonly dimensions: readonly string[],
    private readonly valuesOf: readonly KnownValues[],
    private readonly onAdded: () => void,
  ) {}

  /** Returns as which combination values are counted; undefined if one of them is not known. */
  find(posted: Values): Combination | undefined {
    let counted: Values | (string | null)[] = posted
    for (let i = 0; i < posted.length; i++) {
      const value = posted[i]!
      if (value === null) continue
      const isAccepted = this.valuesOf[i]!.isAccepted(value)
      if (isAccepted === undefined) return undefined
      if (isAccepted) continue
      if (counted === posted) counted = posted.slice()
      ;(counted as (string | null)[])[i] = OTHER
    }
    // No value is empty or contains a NUL.
    const key = counted.join('\0')
    return this.#known.get(key) ?? this.#add(key, counted)
  }

  #add(key: string, values: Values): Combination {
    const combination = new Combination(this.dimensions, values)
    this.#known.set(key, combination)
    this.onAdded()
    return combination
  }
}

/** Sizes, in accounts that accept a combination: some 50 bytes. */
const COMBINATION_SIZE = 10
const FULL_VALUE_SIZE = 2

/** What this process knows to be accepted, or full, on one day of a shard. */
export class KnownDay {
  readonly day: string
  /** Approximate size of what is known, in accounts that accept a combination. */
  size = 0
  readonly #endsAt: number
  readonly #dimensions = new Map<string, KnownValues>()
  readonly #combinations = new Map<string, Combinations>()
  readonly #full = new Map<string, Set<string>>()

  /** `readAt` is when the day was read (performance.now()), or before. */
  constructor({ day, msLeft }: Today, readAt: number) {
    this.day = day
    this.#endsAt = readAt + msLeft
  }

  /** True if the day has not ended; `now` is performance.now(). */
  isCurrent(now: number): boolean {
    return now < this.#endsAt
  }

  valuesOf(dimension: string): KnownValues {
    let values = this.#dimensions.get(dimension)
    if (values === undefined) {
      values = new KnownValues()
      this.#dimensions.set(dimension, values)
    }
    return values
  }

  combinationsOf(dimensions: readonly string[]): Combinations {
    const key = dimensions.join()
    let combinations = this.#combinations.get(key)
    if (combinations === undefined) {
      const values = dimensions.map((dimension) => this.valuesOf(dimension))
      combinations = new Combinations(dimensions, values, () => {
        this.size += COMBINATION_SIZE
      })
      this.#combinations.set(key, combinations)
    }
    return combinations
  }

  /** Returns whether an account accepts a combination; undefined if that is not known. */
  isAcceptedBy(
    combination: Combination,
    kind: keyof Combination['accounts'],
    account: number | string,
  ): boolean | undefined {
    // Each kind has accounts of one type.
    const known = (combination.accounts[kind] as Map<number | string, boolean>).get(account)
    if (known !== undefined) return known
    const values = this.#full.get(scopeKey({ kind, name: String(account) }))
    if (values === undefined) return undefined
    const isAccepted = values.has(combination.hash)
    this.note(combination, kind, account, isAccepted)
    return isAccepted
  }

  /** Notes whether an account accepts a combination. */
  note(
    { accounts }: Combination,
    kind: keyof Combination['accounts'],
    account: number | string,
    isAccepted: boolean,
  ): void {
    ;(accounts[kind] as Map<number | string, boolean>).set(account, isAccepted)
    this.size++
  }

  isComplete(scope: Scope): boolean {
    return this.#full.has(scopeKey(scope))
  }

  /** Notes all values of a full scope. */
  complete({ scope, values }: FullScope): void {
    const all = new Set(values)
    this.#full.set(scopeKey(scope), all)
    this.size += FULL_VALUE_SIZE * all.size
    if (scope.kind === 'dimension') this.valuesOf(scope.name).complete(all)
  }
}
