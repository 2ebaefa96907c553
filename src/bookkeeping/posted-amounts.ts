import type { Amounts, DetailColumns } from '../events/amounts.ts'
import { addExact, type Exact } from '../events/exact.ts'
import type { Postings } from '../events/postings.ts'
import type { CombinationList } from './combination-list.ts'

/** A sum's share of one row: the largest number that JSON keeps exact. */
const MAX = BigInt(Number.MAX_SAFE_INTEGER)

type Sums<Account> = Map<Account, Exact[]>

/** The sums of postings with one combination; then measures by number. */
class CombinedSums {
  readonly provider_group: Sums<number> = new Map()
  readonly api_key: Sums<number> = new Map()
  readonly key: Sums<string> = new Map()
}

/** Sums of postings by account and combination, exact however large. */
export class PostedAmounts {
  /** By combination; null for postings without details. */
  readonly #sums = new Map<string | null, CombinedSums>()

  add(postings: readonly Postings[]): void {
    for (const { kind, accounts, sums, start, end, details } of postings) {
      // All postings of a flush have the same combinations, and each has a part of its rows.
      const sumsOf = (i: number) =>
        this.#sumsOf(details ? details.combinations[details.combination[i]!]! : null)[kind]
      for (let i = start; i < end; i++) {
        const account = typeof accounts === 'object' ? accounts[i]! : accounts
        const byAccount = sumsOf(i) as Sums<number | string>
        const found = byAccount.get(account) ?? sums.map(() => 0)
        byAccount.set(account, found)
        for (let k = 0; k < sums.length; k++) found[k] = addExact(found[k]!, sums[k]![i]!)
        for (const { number, values } of details?.measures ?? []) {
          const at = sums.length + number
          while (found.length <= at) found.push(0)
          found[at] = addExact(found[at]!, values[i]!)
        }
      }
    }
  }

  /** True if something has dimensions or measures. */
  get hasDetails(): boolean {
    return [...this.#sums.keys()].some((text) => text !== null)
  }

  /**
   * Returns them as columns. An account has several rows if a sum is too large for one. They have
   * details, whose combinations are added to a list, unless that is null.
   */
  toAmounts(combinations: CombinationList | null): Omit<Amounts, 'combinations'> {
    const rated = (kind: 'provider_group' | 'api_key') => {
      const rows = this.#rowsOf(kind, 2, combinations)
      return {
        ids: rows.accounts as number[],
        ...{ requests: rows.sums[0]!, successes: rows.sums[1]! },
        ...rows.details,
      }
    }
    const [groups, apiKeys] = [rated('provider_group'), rated('api_key')]
    const { accounts, sums, details } = this.#rowsOf('key', 3, combinations)
    const keys = {
      hashes: accounts as string[],
      ...{ requests: sums[0]!, tokens: sums[1]!, quota_used: sums[2]! },
      ...details,
    }
    return {
      ...(groups.ids.length > 0 && { provider_groups: groups }),
      ...(apiKeys.ids.length > 0 && { api_keys: apiKeys }),
      ...(keys.hashes.length > 0 && { keys }),
    }
  }

  #sumsOf(combination: string | null): CombinedSums {
    const found = this.#sums.get(combination) ?? new CombinedSums()
    this.#sums.set(combination, found)
    return found
  }

  #rowsOf(kind: keyof CombinedSums, length: number, combinations: CombinationList | null) {
    const accounts: (number | string)[] = []
    const sums = Array.from({ length }, (): number[] => [])
    const columns = new DetailRows()
    for (const [text, combined] of this.#sums) {
      eachRow(combined[kind] as Sums<number | string>, (account, values) => {
        for (const [k, column] of sums.entries()) column.push(values[k]!)
        accounts.push(account)
        columns.push(combinations?.indexOf(text) ?? null, values.slice(length))
      })
    }
    return { accounts, sums, details: combinations === null ? {} : columns.toColumns() }
  }
}

/** Dimensions and measures of rows, as columns. */
export class DetailRows {
  readonly #combination: (number | null)[] = []
  readonly #measures: Record<string, number[]> = {}

  push(combination: number | null, measures: readonly number[]): void {
    for (const [number, value] of measures.entries()) {
      if (value === 0) continue
      this.#measures[number] ??= []
      this.#fill(this.#measures[number])
      this.#measures[number].push(value)
    }
    this.#combination.push(combination)
  }

  toColumns(): DetailColumns {
    for (const column of Object.values(this.#measures)) this.#fill(column)
    return { combination: this.#combination, measures: this.#measures }
  }

  #fill(column: number[]): void {
    while (column.length < this.#combination.length) column.push(0)
  }
}

/** Calls `take` with each row of sums that are not all zero. */
function eachRow<Account>(
  sums: ReadonlyMap<Account, Exact[]>,
  take: (account: Account, values: number[]) => void,
): void {
  for (const [account, values] of sums) {
    if (values.every((value) => typeof value === 'number')) {
      if (values.some((value) => value !== 0)) take(account, values)
      continue
    }
    for (const share of sharesOf(values)) take(account, share)
  }
}

/** Splits values into shares that add up to them, each of which JSON keeps exact. */
export function* sharesOf(values: readonly Exact[]): Generator<number[]> {
  let rest = values.map(BigInt)
  do {
    const share = rest.map(clamp)
    yield share.map(Number)
    rest = rest.map((value, k) => value - share[k]!)
  } while (rest.some((value) => value !== 0n))
}

const clamp = (value: bigint) => (value > MAX ? MAX : value < -MAX ? -MAX : value)
