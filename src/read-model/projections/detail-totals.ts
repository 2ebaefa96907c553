import type { AccountKind } from '../../events/accounts.ts'
import { addExact, type Exact } from '../../events/exact.ts'
import type { Postings } from '../../events/postings.ts'

/** Measures by number; shorter than others if the last ones were not counted. */
export type Measures = Exact[]

/** What was posted to an account: the columns of its shape that are summed, and measures. */
export type DetailTotal = { account: number | string; sums: Exact[]; measures: Measures }

/** The account that stands for all provider groups. No group has this id. */
export const ALL_GROUPS = 0

type Account = number | string

/** What was counted with one combination. */
type Part = Map<Account, DetailTotal>

/** Exact totals of the measures of accounts. Only postings with details leave any. */
export class MeasureTotals {
  readonly #totals = new Map<Account, Measures>()

  get size(): number {
    return this.#totals.size
  }

  add({ accounts, start, end, details }: Postings): void {
    if (details === undefined || details.measures.length === 0) return
    if (typeof accounts !== 'object') {
      let first = start
      while (first < end && isNothing(details.measures, first)) first++
      if (first < end) addRange(this.#totalsOf(accounts), details, first, end)
      return
    }
    for (let i = start; i < end; i++) {
      if (!isNothing(details.measures, i)) addMeasures(this.#totalsOf(accounts[i]!), details, i)
    }
  }

  entries(): IterableIterator<[account: Account, measures: Measures]> {
    return this.#totals.entries()
  }

  #totalsOf(account: Account): Measures {
    let totals = this.#totals.get(account)
    if (totals === undefined) {
      totals = []
      this.#totals.set(account, totals)
    }
    return totals
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
  readonly #parts = new Map<string, Part>()
  /** Parts of the last combinations by index: those of an event are the same for all postings. */
  #looked: { combinations: readonly string[]; parts: Part[] } | null = null
  #size = 0
  #hasGroups = false

  /** Only of one account, unless that is null. */
  constructor(private readonly only: Account | null = null) {}

  get size(): number {
    return this.#size
  }

  add(postings: Postings): void {
    const { kind, accounts, sums, start, end, details } = postings
    if (details === undefined) return
    const { combinations, combination, measures } = details
    const isAll = kind === 'provider_group' && this.only === ALL_GROUPS
    this.#hasGroups ||= kind === 'provider_group'
    for (let i = start; i < end; i++) {
      if (isZero(sums, i) && isNothing(measures, i)) continue
      const own = typeof accounts === 'object' ? accounts[i]! : accounts
      const account = isAll ? ALL_GROUPS : own
      if (this.only !== null && this.only !== account) continue
      const part = this.#partOf(combinations, combination[i]!)
      addRow(this.#totalOf(part, account, sums.length), postings, i)
    }
  }

  *entries(): Generator<DetailTotal & { combination: string }> {
    for (const [combination, part] of this.#parts) {
      for (const total of part.values()) yield { ...total, combination }
      if (this.#hasGroups && this.only === null) yield { ...addUp(part.values()), combination }
    }
  }

  /** Returns the part of a combination of the event that is being added. */
  #partOf(combinations: readonly string[], index: number): Part {
    if (this.#looked?.combinations !== combinations) this.#looked = { combinations, parts: [] }
    const { parts } = this.#looked
    const looked = parts[index]
    if (looked !== undefined) return looked
    const combination = combinations[index]!
    const part = this.#parts.get(combination) ?? new Map<Account, DetailTotal>()
    this.#parts.set(combination, part)
    parts[index] = part
    return part
  }

  #totalOf(part: Part, account: Account, sums: number): DetailTotal {
    let total = part.get(account)
    if (total === undefined) {
      total = { account, sums: new Array<Exact>(sums).fill(0), measures: [] }
      part.set(account, total)
      this.#size++
    }
    return total
  }
}

/** Creates empty parts for every kind of account. */
export const createAllParts = (): Record<AccountKind, PartTotals> => ({
  ...{ provider_group: new PartTotals(), api_key: new PartTotals(), key: new PartTotals() },
})

/** Returns the sums of these totals, for ALL_GROUPS. */
function addUp(totals: Iterable<DetailTotal>): DetailTotal {
  const all: DetailTotal = { account: ALL_GROUPS, sums: [], measures: [] }
  for (const { sums, measures } of totals) {
    for (const [k, sum] of sums.entries()) all.sums[k] = addExact(all.sums[k] ?? 0, sum)
    for (const [number, value] of measures.entries()) {
      all.measures[number] = addExact(all.measures[number] ?? 0, value)
    }
  }
  return all
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

function addRow(total: DetailTotal, { sums, details }: Postings, i: number): void {
  for (let k = 0; k < sums.length; k++) {
    total.sums[k] = addExact(total.sums[k]!, sums[k]![i]!)
  }
  addMeasures(total.measures, details!, i)
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

/** Adds the measures of rows `start` to `end`, exclusive: column by column takes half the time. */
function addRange(
  totals: Measures,
  { measures }: Pick<Columns, 'measures'>,
  start: number,
  end: number,
): void {
  for (const { number, values } of measures) {
    let sum = 0
    let isCounted = false
    for (let i = start; i < end; i++) {
      if (values[i] === 0) continue
      isCounted = true
      const next = sum + values[i]!
      if (Number.isSafeInteger(next)) {
        sum = next
        continue
      }
      addMeasure(totals, number, sum)
      sum = values[i]!
    }
    if (isCounted) addMeasure(totals, number, sum)
  }
}

function addMeasure(totals: Measures, number: number, value: number): void {
  while (totals.length <= number) totals.push(0)
  totals[number] = addExact(totals[number]!, value)
}
