import type { AccountKind } from '../../events/accounts.ts'
import { addExact, type Exact } from '../../events/exact.ts'
import type { Postings } from '../../events/postings.ts'
import { ExactRows } from '../../platform/exact-rows.ts'

/** Measures by number; shorter than others if the last ones were not counted. */
export type Measures = Exact[]

/** What was posted to an account: the columns of its shape that are summed, and measures. */
export type DetailTotal = { account: number | string; sums: Exact[]; measures: Measures }

/** The account that stands for all provider groups. No group has this id. */
export const ALL_GROUPS = 0

type Account = number | string

/** Numbers accounts: an id is its own number, a text has the number of texts before it. */
class AccountNumbers {
  readonly #numbers = new Map<string, number>()
  readonly #texts: string[] = []

  numberOf(account: Account): number {
    if (typeof account === 'number') return account
    const known = this.#numbers.get(account) ?? this.#texts.push(account) - 1
    if (known === this.#numbers.size) this.#numbers.set(account, known)
    return known
  }

  accountOf(number: number): Account {
    return this.#texts[number] ?? number
  }
}

/** The row of each of the postings that are being added; -1 for none. */
const rows: number[] = []

/** Exact totals of the measures of accounts. Only postings with details leave any. */
export class MeasureTotals {
  readonly #rows = new ExactRows()
  readonly #accounts = new AccountNumbers()

  get size(): number {
    return this.#rows.count
  }

  add({ accounts, start, end, details }: Postings): void {
    if (details === undefined || details.measures.length === 0) return
    const { measures } = details
    this.#rows.widen(widthOf(measures))
    const rowOf = (account: Account) => this.#rows.rowOf(this.#accounts.numberOf(account), 0)
    let row = -1
    for (let i = start; i < end; i++) {
      const isCounted = !isNothing(measures, i)
      if (typeof accounts === 'object') row = isCounted ? rowOf(accounts[i]!) : -1
      else if (isCounted && row < 0) row = rowOf(accounts)
      rows[i - start] = row
    }
    const to = { rows, start, end }
    for (const { number, values } of measures) this.#rows.addColumn(number, values, to)
  }

  *entries(): Generator<[account: Account, measures: Measures]> {
    for (const { first, values } of this.#rows.entries()) {
      yield [this.#accounts.accountOf(first), values]
    }
  }
}

/** Creates empty totals of measures for every kind of account. */
export const createAllMeasures = (): Record<AccountKind, MeasureTotals> => ({
  provider_group: new MeasureTotals(),
  api_key: new MeasureTotals(),
  key: new MeasureTotals(),
})

/**
 * Exact totals of accounts by combination. Only postings with details leave any. Those to provider
 * groups are added up to ALL_GROUPS, too.
 */
export class PartTotals {
  /** By account and the number of the combination; sums, then measures. */
  readonly #rows = new ExactRows()
  readonly #accounts = new AccountNumbers()
  readonly #combinations = new Map<string, number>()
  /** Numbers of the last combinations by index: those of an event are the same for all postings. */
  #looked: { combinations: readonly string[]; numbers: number[] } | null = null
  #sums = 0
  #hasGroups = false

  /** Only of one account, unless that is null. */
  constructor(private readonly only: Account | null = null) {}

  get size(): number {
    return this.#rows.count
  }

  add(postings: Postings): void {
    const { kind, accounts, sums, start, end, details } = postings
    if (details === undefined) return
    const { combinations, combination, measures } = details
    const isAll = kind === 'provider_group' && this.only === ALL_GROUPS
    this.#hasGroups ||= kind === 'provider_group'
    this.#sums = sums.length
    this.#rows.widen(sums.length + widthOf(measures))
    for (let i = start; i < end; i++) {
      rows[i - start] = -1
      if (isZero(sums, i) && isNothing(measures, i)) continue
      const own = typeof accounts === 'object' ? accounts[i]! : accounts
      const account = isAll ? ALL_GROUPS : own
      if (this.only !== null && this.only !== account) continue
      const number = this.#numberOf(combinations, combination[i]!)
      rows[i - start] = this.#rows.rowOf(this.#accounts.numberOf(account), number)
    }
    const to = { rows, start, end }
    for (let k = 0; k < sums.length; k++) this.#rows.addColumn(k, sums[k]!, to)
    for (const { number, values } of measures) {
      this.#rows.addColumn(sums.length + number, values, to)
    }
  }

  *entries(): Generator<DetailTotal & { combination: string }> {
    const combinations = [...this.#combinations.keys()]
    const all: DetailTotal[] = []
    for (const { first, second, values } of this.#rows.entries()) {
      const sums = Array.from({ length: this.#sums }, (_, k) => values[k] ?? 0)
      const account = this.#accounts.accountOf(first)
      const total = { account, sums, measures: values.slice(this.#sums) }
      yield { ...total, combination: combinations[second]! }
      if (this.#hasGroups && this.only === null) {
        all[second] ??= { account: ALL_GROUPS, sums: [], measures: [] }
        addUp(all[second]!, total)
      }
    }
    for (const [number, total] of all.entries()) {
      yield { ...total, combination: combinations[number]! }
    }
  }

  /** Returns the number of a combination of the event that is being added. */
  #numberOf(combinations: readonly string[], index: number): number {
    if (this.#looked?.combinations !== combinations) this.#looked = { combinations, numbers: [] }
    const looked = this.#looked.numbers[index]
    if (looked !== undefined) return looked
    const combination = combinations[index]!
    const number = this.#combinations.get(combination) ?? this.#combinations.size
    this.#combinations.set(combination, number)
    this.#looked.numbers[index] = number
    return number
  }
}

/** Creates empty parts for every kind of account. */
export const createAllParts = (): Record<AccountKind, PartTotals> => ({
  ...{ provider_group: new PartTotals(), api_key: new PartTotals(), key: new PartTotals() },
})

/** Adds a total to that of ALL_GROUPS. */
function addUp(all: DetailTotal, { sums, measures }: DetailTotal): void {
  for (const [k, sum] of sums.entries()) all.sums[k] = addExact(all.sums[k] ?? 0, sum)
  for (const [number, value] of measures.entries()) {
    all.measures[number] = addExact(all.measures[number] ?? 0, value)
  }
}

type Columns = Postings['details'] & object

function isZero(sums: Postings['sums'], i: number): boolean {
  for (let k = 0; k < sums.length; k++) if (sums[k]![i] !== 0) return false
  return true
}

function isNothing(measures: Columns['measures'], i: number): boolean {
  for (let k = 0; k < measures.length; k++) if (measures[k]!.values[i] !== 0) return false
  return true
}

/** The number of measures up to the last one. */
function widthOf(measures: Columns['measures']): number {
  let width = 0
  for (const { number } of measures) if (number >= width) width = number + 1
  return width
}

/** Adds the measures of row i; `sign` -1 takes them back. */
export function addMeasures(
  totals: Measures,
  { measures }: Pick<Columns, 'measures'>,
  i: number,
  sign = 1,
): void {
  for (let k = 0; k < measures.length; k++) {
    const { number, values } = measures[k]!
    if (values[i] !== 0) addMeasure(totals, number, sign * values[i]!)
  }
}

function addMeasure(totals: Measures, number: number, value: number): void {
  while (totals.length <= number) totals.push(0)
  totals[number] = addExact(totals[number]!, value)
}
