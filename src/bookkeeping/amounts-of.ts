import type { Amounts } from '../events/amounts.ts'
import type { Postings } from '../events/postings.ts'

/** A sum's share of one row: the largest number that JSON keeps exact. */
const MAX = BigInt(Number.MAX_SAFE_INTEGER)

/** Sums of postings by account, exact however large. */
export class PostedAmounts {
  readonly #sums = {
    provider_group: new Map<number, bigint[]>(),
    api_key: new Map<number, bigint[]>(),
    key: new Map<string, bigint[]>(),
  }

  add(postings: readonly Postings[]): void {
    for (const { kind, accounts, sums, start, end } of postings) {
      const byAccount = this.#sums[kind] as Map<number | string, bigint[]>
      for (let i = start; i < end; i++) {
        const account = typeof accounts === 'object' ? accounts[i]! : accounts
        const found = byAccount.get(account) ?? sums.map(() => 0n)
        byAccount.set(account, found)
        for (const [k, column] of sums.entries()) found[k]! += BigInt(column[i]!)
      }
    }
  }

  /** Returns them as columns. An account has several rows if a sum is too large for one. */
  toAmounts(): Amounts {
    const [groups, apiKeys, keys] = [
      toRows(this.#sums.provider_group),
      toRows(this.#sums.api_key),
      toRows(this.#sums.key),
    ]
    const rated = (rows: [number, number[]][]) => ({
      ids: rows.map(([id]) => id),
      requests: rows.map(([, values]) => values[0]!),
      successes: rows.map(([, values]) => values[1]!),
    })
    return {
      ...(groups.length > 0 && { provider_groups: rated(groups) }),
      ...(apiKeys.length > 0 && { api_keys: rated(apiKeys) }),
      ...(keys.length > 0 && {
        keys: {
          hashes: keys.map(([hash]) => hash),
          requests: keys.map(([, values]) => values[0]!),
          tokens: keys.map(([, values]) => values[1]!),
          quota_used: keys.map(([, values]) => values[2]!),
        },
      }),
    }
  }
}

function toRows<Account>(sums: ReadonlyMap<Account, bigint[]>): [Account, number[]][] {
  const rows: [Account, number[]][] = []
  for (const [account, values] of sums) {
    let rest = values
    while (rest.some((value) => value !== 0n)) {
      const share = rest.map(clamp)
      rows.push([account, share.map(Number)])
      rest = rest.map((value, k) => value - share[k]!)
    }
  }
  return rows
}

const clamp = (value: bigint) => (value > MAX ? MAX : value < -MAX ? -MAX : value)
