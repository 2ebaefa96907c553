import type { AccountKind } from '../../events/accounts.ts'
import { addExact, type Exact } from '../../events/exact.ts'
import type { Postings } from '../../events/postings.ts'
import { layOut } from '../../platform/entry-values.ts'
import { ExactRows, NO_KEY, type Places } from '../../platform/exact-rows.ts'

/** Measures by number; shorter than others if the last ones were not counted. */
export type Measures = Exact[]

/** What was posted to an account: the columns of its shape that are summed, and measures. */
export type DetailTotal = { account: number | string; sums: Exact[]; measures: Measures }

/** The account that stands for all provider groups. No group has this id. */
export const ALL_GROUPS = 0

type Account = number | string

type Details = Postings['details'] & object

/** Numbers accounts: an id is its own number, a text has the number of texts before it. */
class AccountNumbers {
  readonly #numbers = new Map<string, number>()
  readonly #texts: string[] = []

  /** Returns the numbers of these accounts; `start` to `end`, exclusive, of a column. */
  numbersOf(
    accounts: Postings['accounts'],
    start: number,
    end: number,
  ): readonly number[] | number {
    if (typeof accounts === 'number') return accounts
    if (typeof accounts === 'string') return this.#numberOf(accounts)
    if (end === start || typeof accounts[start] === 'number') return accounts as number[]
    const numbers: number[] = new Array(end)
    for (let i = start; i < end; i++) numbers[i] = this.#numberOf(accounts[i] as string)
    return numbers
  }

  accountOf(number: number): Account {
    return this.#texts.length > 0 ? this.#texts[number]! : number
  }

  #numberOf(text: string): number {
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    this.#numbers.set(text, this.#texts.length)
    return this.#texts.push(text) - 1
  }
}

/** Numbers measures in order of appearance: their own numbers may be far apart. */
class MeasurePlaces {
  readonly #places = new Map<number, number>()
  /** The number of the measure at each place. */
  readonly #numbers: number[] = []

  get count(): number {
    return this.#numbers.length
  }

  placeOf(number: number): number {
    const known = this.#places.get(number)
    if (known !== undefined) return known
    this.#places.set(number, this.#numbers.length)
    return this.#numbers.push(number) - 1
  }

  /** Returns the place of each sum, `before` measures or without a place, and of each measure. */
  of({ measures }: Details, sums: number, before: number): readonly number[] {
    const places: number[] = []
    for (let k = 0; k < sums; k++) places.push(k)
    for (let k = 0; k < measures.length; k++) {
      places.push(before + this.placeOf(measures[k]!.number))
    }
    return places
  }

  /** Reads the measures of a row, whose values are at their places behind `first` others. */
  read(rows: ExactRows, row: number, first: number): Measures {
    const measures: Measures = []
    for (let place = 0; place < this.#numbers.length; place++) {
      const value = rows.valueOf(row, first + place)
      if (value === undefined) continue
      while (measures.length <= this.#numbers[place]!) measures.push(0)
      measures[this.#numbers[place]!] = value
    }
    return measures
  }
}

/** Exact totals of the measures of accounts. Only postings with details leave any. */
export class MeasureTotals {
  readonly #rows = new ExactRows()
  readonly #accounts = new AccountNumbers()
  readonly #places = new MeasurePlaces()
  /** Of the last postings: those of an event have the same details, and mostly as many sums. */
  #last: { details: Details; places: Places } | null = null

  get size(): number {
    return this.#rows.count
  }

  add({ accounts, sums, start, end, details }: Postings): void {
    if (details === undefined || details.measures.length === 0) return
    const first = this.#accounts.numbersOf(accounts, start, end)
    const places = this.#placesOf(details, sums.length)
    for (let at = start; at < end; ) {
      const laid = layOut(details, sums, at)
      const to = Math.min(laid.end, end)
      this.#rows.add(laid, places, first, at, to)
      at = to
    }
  }

  #placesOf(details: Details, sums: number): Places {
    if (this.#last?.details === details && this.#last.places.from === sums) return this.#last.places
    const places = { from: sums, places: this.#places.of(details, sums, 0), second: null }
    this.#rows.widen(this.#places.count)
    this.#last = { details, places }
    return places
  }

  *entries(): Generator<[account: Account, measures: Measures]> {
    for (let row = 0; row < this.#rows.count; row++) {
      const account = this.#accounts.accountOf(this.#rows.keyOf(row).first)
      yield [account, this.#places.read(this.#rows, row, 0)]
    }
  }
}

/** Creates empty totals of measures for every kind of account. */
export const createAllMeasures = (): Record<AccountKind, MeasureTotals> => ({
  provider_group: new MeasureTotals(),
  api_key: new MeasureTotals(),
  key: new MeasureTotals(),
})

/** Numbers combinations and measures. */
class PartNumbers {
  readonly places = new MeasurePlaces()
  readonly #numbers = new Map<string, number>()
  /** Of the last postings: those of an event have the same details, and mostly as many sums. */
  #last: { details: Details; sums: number; places: Places } | null = null

  /** The combinations, by number. */
  get combinations(): string[] {
    return [...this.#numbers.keys()]
  }

  /** Returns where the values of postings are added: sums first, and then the measures. */
  of(details: Details, sums: number): Places {
    if (this.#last?.details !== details || this.#last.sums !== sums) {
      const numbers = details.combinations.map((text) => this.#numberOf(text))
      const second = { numbers, of: details.combination }
      const places = { from: 0, places: this.places.of(details, sums, sums), second }
      this.#last = { details, sums, places }
    }
    return this.#last.places
  }

  #numberOf(combination: string): number {
    let number = this.#numbers.get(combination)
    if (number === undefined) {
      number = this.#numbers.size
      this.#numbers.set(combination, number)
    }
    return number
  }
}

/**
 * Exact totals of accounts by combination. Only postings with details leave any. Those to provider
 * groups are added up to ALL_GROUPS, too.
 */
export class PartTotals {
  /** By account and the number of the combination: sums, and then measures. */
  readonly #rows = new ExactRows()
  readonly #accounts = new AccountNumbers()
  #sums = 0
  #hasGroups = false

  constructor(
    /** Only of this account, unless it is null. */
    private readonly only: Account | null = null,
    /** May be shared, so that an event's details are looked up once for accounts of all kinds. */
    private readonly numbers = new PartNumbers(),
  ) {}

  get size(): number {
    return this.#rows.count
  }

  add(postings: Postings): void {
    const { kind, accounts, sums, start, end, details } = postings
    if (details === undefined) return
    this.#hasGroups ||= kind === 'provider_group'
    this.#sums = sums.length
    const first = this.#keysOf(kind, accounts, start, end)
    const places = this.numbers.of(details, sums.length)
    this.#rows.widen(sums.length + this.numbers.places.count)
    for (let at = start; at < end; ) {
      const laid = layOut(details, sums, at)
      const to = Math.min(laid.end, end)
      this.#rows.add(laid, places, first, at, to)
      at = to
    }
  }

  /** Returns the accounts' numbers; or 0 for the only one, and NO_KEY for all others. */
  #keysOf(kind: AccountKind, accounts: Postings['accounts'], start: number, end: number) {
    const { only } = this
    if (only === null) return this.#accounts.numbersOf(accounts, start, end)
    if (only === ALL_GROUPS && kind === 'provider_group') return 0
    if (typeof accounts !== 'object') return accounts === only ? 0 : NO_KEY
    return accounts.map((account) => (account === only ? 0 : NO_KEY))
  }

  *entries(): Generator<DetailTotal & { combination: string }> {
    const { combinations, places } = this.numbers
    const all = new Map<number, DetailTotal>()
    for (let row = 0; row < this.#rows.count; row++) {
      const { first, second } = this.#rows.keyOf(row)
      const total = {
        account: this.only ?? this.#accounts.accountOf(first),
        sums: Array.from({ length: this.#sums }, (_, k) => this.#rows.valueOf(row, k) ?? 0),
        measures: places.read(this.#rows, row, this.#sums),
      }
      yield { ...total, combination: combinations[second]! }
      if (!this.#hasGroups || this.only !== null) continue
      const ofAll = all.get(second) ?? { account: ALL_GROUPS, sums: [], measures: [] }
      all.set(second, ofAll)
      addUp(ofAll, total)
    }
    for (const [number, total] of all) {
      yield { ...total, combination: combinations[number]! }
    }
  }
}

/** Creates empty parts for every kind of account. */
export function createAllParts(): Record<AccountKind, PartTotals> {
  const numbers = new PartNumbers()
  const create = () => new PartTotals(null, numbers)
  return { provider_group: create(), api_key: create(), key: create() }
}

/** Adds a total to that of ALL_GROUPS. */
function addUp(all: DetailTotal, { sums, measures }: DetailTotal): void {
  for (const [k, sum] of sums.entries()) all.sums[k] = addExact(all.sums[k] ?? 0, sum)
  for (const [number, value] of measures.entries()) {
    all.measures[number] = addExact(all.measures[number] ?? 0, value)
  }
}

/** Adds the measures of row i; `sign` -1 takes them back. */
export function addMeasures(
  totals: Measures,
  { measures }: Pick<Details, 'measures'>,
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
