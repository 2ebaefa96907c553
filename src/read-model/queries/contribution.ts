import { ACCOUNTS } from '../../events/accounts.ts'
import type { Postings } from '../../events/postings.ts'
import type { Scope } from './scope.ts'

/** Sums in the order of the kind's in ACCOUNTS. */
export type Counted = readonly bigint[]

/** What some postings add to what `scope` has counted. */
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

/** The sums of two. */
export function plus(a: Counted, b: Counted): Counted {
  return a.map((value, i) => value + (b[i] ?? 0n))
}

/** True of what an event adds that adds nothing. */
export const isNothing = (counted: Counted) => counted.every((value) => value === 0n)
