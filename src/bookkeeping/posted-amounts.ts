import type { Amounts } from '../events/amounts.ts'
import { addExact, type Exact } from '../events/exact.ts'
import type { Postings } from '../events/postings.ts'

/** A sum's share of one row: the largest number that JSON keeps exact. */
const MAX = BigInt(Number.MAX_SAFE_INTEGER)

/** Sums of postings by account, exact however large. */
export class PostedAmounts {
  readonly #sums = {
    provider_group: new Map<number, Exact[]>(),
    api_key: new Map<number, Exact[]>(),
    key: new Map<string, Exact[]>(),
  }

  add(postings: readonly Postings[]): void {
    for (const { kind, accounts, sums, start, end } of postings) {
      const byAccount = this.#sums[kind] as Map<number | string, Exact[]>
      for (let i = start; i < end; i++) {
        const account = typeof accounts === 'object' ? accounts[i]! : accounts
        const found = byAccount.get(account)
        if (found === undefined)
          byAccount.set(
            account,
            sums.map((column) => column[i]!),
          )
        else for (let k = 0; k < sums.length; k++) found[k] = addExact(found[k]!, sums[k]![i]!)
      }
    }
  }

  /** Returns them as columns. An account has several rows if a sum is too large for one. */
  toAmounts(): Amounts {
    const { provider_group, api_key, key } = this.#sums
    const rated = (sums: ReadonlyMap<number, Exact[]>) => {
      const amounts = { ids: [] as number[], requests: [] as number[], successes: [] as number[] }
      eachRow(sums, (id, [requests, successes]) => {
        amounts.ids.push(id)
        amounts.requests.push(requests!)
        amounts.successes.push(successes!)
      })
      return amounts
    }
    const [groups, apiKeys] = [rated(provider_group), rated(api_key)]
    const keys = {
      ...{ hashes: [] as string[], requests: [] as number[] },
      ...{ tokens: [] as number[], quota_used: [] as number[] },
    }
    eachRow(key, (hash, [requests, tokens, quotaUsed]) => {
      keys.hashes.push(hash)
      keys.requests.push(requests!)
      keys.tokens.push(tokens!)
      keys.quota_used.push(quotaUsed!)
    })
    return {
      ...(groups.ids.length > 0 && { provider_groups: groups }),
      ...(apiKeys.ids.length > 0 && { api_keys: apiKeys }),
      ...(keys.hashes.length > 0 && { keys }),
    }
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
