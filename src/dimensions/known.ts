import type { AccountKind } from '../events/accounts.ts'
import { formatCombinations, OTHER, type Values } from '../events/details.ts'
import type { FullScope } from './accept.ts'
import { type Scope, scopeKey } from './decide.ts'
import { hashCombination } from './hash.ts'
import { Pairs } from './pairs.ts'
import type { Today } from './today.ts'

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

/** A combination of accepted values and OTHER. */
export class Combination {
  /** Which token keys accept it. Absent ones are not known. */
  readonly keys = new Map<string, boolean>()
  /** See `formatCombinations`. */
  readonly text: string
  /** True if it has no other value than OTHER. Every account accepts it. */
  readonly isFree: boolean
  readonly hasOther: boolean
  #hash = ''

  constructor(
    dimensions: readonly string[],
    readonly values: Values,
    /** Distinguishes it from all others of the day. */
    readonly number: number,
  ) {
    this.text = formatCombinations(dimensions, [values])[0]!
    this.hasOther = values.includes(OTHER)
    this.isFree = values.every((value) => value === null || value === OTHER)
  }

  get hash(): string {
    if (this.#hash === '') this.#hash = hashCombination(this.text)
    return this.#hash
  }
}

/** The combinations that begin with some values, by the next value. */
type Branch = { next: Map<string | null, Branch>; combination: Combination | null }

const createBranch = (): Branch => ({ next: new Map(), combination: null })

/** The combinations of some dimensions. */
export class Combinations {
  readonly #root = createBranch()

  constructor(
    private readonly dimensions: readonly string[],
    private readonly valuesOf: readonly KnownValues[],
    /** Returns the number of a combination that is added. */
    private readonly onAdded: () => number,
  ) {}

  /** Returns as which combination values are counted; undefined if one of them is not known. */
  find(posted: Values): Combination | undefined {
    let branch: Branch | undefined = this.#root
    for (let i = 0; i < posted.length && branch !== undefined; i++) {
      branch = branch.next.get(posted[i]!)
    }
    return branch?.combination ?? this.#findNew(posted)
  }

  #findNew(posted: Values): Combination | undefined {
    const isAccepted = posted.map((value, i) =>
      value === null ? true : this.valuesOf[i]!.isAccepted(value),
    )
    if (isAccepted.includes(undefined)) return undefined
    const values = posted.map((value, i) => (isAccepted[i] ? value : OTHER))
    let branch = this.#root
    for (const value of values) {
      let next = branch.next.get(value)
      if (next === undefined) {
        next = createBranch()
        branch.next.set(value, next)
      }
      branch = next
    }
    branch.combination ??= new Combination(this.dimensions, values, this.onAdded())
    return branch.combination
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
  #numbered = 0
  /** Which accounts accept which combination, by id and number. Absent pairs are not known. */
  readonly #accepted = { provider_group: new Pairs(), api_key: new Pairs() }

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
        return this.#numbered++
      })
      this.#combinations.set(key, combinations)
    }
    return combinations
  }

  /** Returns whether an account accepts a combination; undefined if that is not known. */
  isAcceptedBy(
    combination: Combination,
    kind: AccountKind,
    account: number | string,
  ): boolean | undefined {
    const known =
      kind === 'key'
        ? combination.keys.get(account as string)
        : this.#accepted[kind].get(account as number, combination.number)
    return known ?? this.#isInFull(combination, kind, account)
  }

  /** Returns which accounts with ids accept which combination, by its number. */
  acceptedBy(kind: Exclude<AccountKind, 'key'>): Pairs {
    return this.#accepted[kind]
  }

  /** Notes whether an account accepts a combination. */
  note(
    combination: Combination,
    kind: AccountKind,
    account: number | string,
    isAccepted: boolean,
  ): void {
    if (kind === 'key') combination.keys.set(account as string, isAccepted)
    else this.#accepted[kind].set(account as number, combination.number, isAccepted)
    this.size++
  }

  /** Returns whether a full account accepts a combination; undefined for one that is not full. */
  #isInFull(
    combination: Combination,
    kind: AccountKind,
    account: number | string,
  ): boolean | undefined {
    if (this.#full.size === 0) return undefined
    const values = this.#full.get(scopeKey({ kind, name: String(account) }))
    if (values === undefined) return undefined
    const isAccepted = values.has(combination.hash)
    this.note(combination, kind, account, isAccepted)
    return isAccepted
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
