import type { Amounts, DetailColumns } from '../events/amounts.ts'
import { addExact, type Exact } from '../events/exact.ts'
import type { Postings } from '../events/postings.ts'

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

  /** Returns them as columns. An account has several rows if a sum is too large for one. */
  toAmounts(): Amounts {
    const combinations = [...this.#sums.keys()].filter((text) => text !== null)
    const rated = (kind: 'provider_group' | 'api_key') => {
      const rows = this.#rowsOf(kind, 2)
      return {
        ids: rows.accounts as number[],
        ...{ requests: rows.sums[0]!, successes: rows.sums[1]! },
        ...(combinations.length > 0 && rows.details),
      }
    }
    const [groups, apiKeys] = [rated('provider_group'), rated('api_key')]
    const { accounts, sums, details } = this.#rowsOf('key', 3)
    const keys = {
      hashes: accounts as string[],
      ...{ requests: sums[0]!, tokens: sums[1]!, quota_used: sums[2]! },
      ...(combinations.length > 0 && details),
    }
    return {
      ...(combinations.length > 0 && { combinations }),
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

  #rowsOf(kind: keyof CombinedSums, length: number) {
    const accounts: (number | string)[] = []
    const sums = Array.from({ length }, (): number[] => [])
    const combination: (number | null)[] = []
    const measures: Record<string, number[]> = {}
    let index = 0
    for (const [text, combined] of this.#sums) {
      const own = text === null ? null : index++
      eachRow(combined[kind] as Sums<number | string>, (account, values) => {
        for (const [k, column] of sums.entries()) column.push(values[k]!)
        for (const [number, value] of values.slice(length).entries()) {
          if (value === 0) continue
          measures[number] ??= []
          while (measures[number].length < accounts.length) measures[number].push(0)
          measures[number].push(value)
        }
        accounts.push(account)
        combination.push(own)
      })
    }
    for (const column of Object.values(measures)) {
      while (column.length < accounts.length) column.push(0)
    }
    const details: DetailColumns = { combination, measures }
    return { accounts, sums, details }
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
