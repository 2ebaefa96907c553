import { ACCOUNTS } from '../../events/accounts.ts'
import type { Postings } from '../../events/postings.ts'
import type { Scope } from './scope.ts'

/** Sums, in the order that ACCOUNTS gives for the kind. */
export type Counted = readonly bigint[]

/** Sums what postings add to the totals of `scope`. */
export function contributionOf(all: readonly Postings[], { kind, account }: Scope): Counted {
  const counted = ACCOUNTS[kind].sums.map(() => 0n)
  for (const postings of all) {
    if (postings.kind !== kind) continue
    const { accounts, sums, start, end } = postings
    for (let i = start; i < end; i++) {
      const posted = typeof accounts === 'object' ? accounts[i] : accounts
      if (account !== null && posted !== account) continue
      for (const [k, column] of sums.entries()) counted[k]! += BigInt(column[i]!)
    }
  }
  return counted
}

/** Adds two lists of sums. */
export function plus(a: Counted, b: Counted): Counted {
  return a.map((value, i) => value + (b[i] ?? 0n))
}

/** True if an event adds nothing. */
export const isNothing = (counted: Counted) => counted.every((value) => value === 0n)
