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
    for (let i = start; i < end; i++) {
      const account = typeof accounts === 'object' ? accounts[i]! : accounts
      if (!details.measures.some(({ values }) => values[i] !== 0)) continue
      const totals = this.#totals.get(account) ?? []
      this.#totals.set(account, totals)
      addMeasures(totals, details, i)
    }
  }

  entries(): IterableIterator<[account: Account, measures: Measures]> {
    return this.#totals.entries()
  }
}

/** Creates empty totals of measures for every kind of account. */
export const createAllMeasures = (): Record<AccountKind, MeasureTotals> => ({
  provider_group: new MeasureTotals(),
  api_key: new MeasureTotals(),
  key: new MeasureTotals(),
})

/** Exact totals of accounts by combination. Only postings with details leave any. */
export class PartTotals {
  readonly #parts = new Map<string, Part>()
  /** Parts of the last combinations by index: those of an event are the same for all postings. */
  #looked: { combinations: readonly string[]; parts: Part[] } | null = null
  #size = 0

  /** Only of one account, unless that is null. */
  constructor(private readonly only: Account | null = null) {}

  get size(): number {
    return this.#size
  }

  add(postings: Postings): void {
    const { kind, accounts, sums, start, end, details } = postings
    if (details === undefined) return
    for (let i = start; i < end; i++) {
      if (isNothing(postings, i)) continue
      const account = typeof accounts === 'object' ? accounts[i]! : accounts
      const isOwn = this.only === null || this.only === account
      const isAll = kind === 'provider_group' && (this.only ?? ALL_GROUPS) === ALL_GROUPS
      if (!isOwn && !isAll) continue
      const part = this.#partOf(details.combinations, details.combination[i]!)
      if (isOwn) addRow(this.#totalOf(part, account, sums.length), postings, i)
      if (isAll) {
        addRow(this.#totalOf(part, ALL_GROUPS, sums.length), postings, i)
      }
    }
  }

  *entries(): Generator<DetailTotal & { combination: string }> {
    for (const [combination, part] of this.#parts) {
      for (const total of part.values()) yield { ...total, combination }
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

function isNothing({ sums, details }: Postings, i: number): boolean {
  for (const column of sums) if (column[i] !== 0) return false
  for (const { values } of details!.measures) if (values[i] !== 0) return false
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
  { measures }: Pick<Postings['details'] & object, 'measures'>,
  i: number,
  sign = 1,
): void {
  for (const { number, values } of measures) {
    if (values[i] === 0) continue
    while (totals.length <= number) totals.push(0)
    totals[number] = addExact(totals[number]!, sign * values[i]!)
  }
}
