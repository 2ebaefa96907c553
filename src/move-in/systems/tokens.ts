import type { DatabaseTotals, OldBooks, OldKey, OldRated } from '../old-books.ts'

/** A token of a gateway, which is both an API key and a token key, with the same name. */
export type Token = OldKey & { successes: bigint }

/** What is counted of the requests of a token. */
export type Counted = { requests: bigint; successes: bigint; tokens: bigint }
export const NOTHING: Counted = { requests: 0n, successes: 0n, tokens: 0n }

/** Makes books of tokens. `sums` are those of all of them, computed by the database. */
export function booksOfTokens(
  tokens: readonly Token[],
  sums: DatabaseTotals,
): Pick<OldBooks, 'groups' | 'apiKeys' | 'keys' | 'totals'> {
  const { rows = 0n, requests = 0n, successes = 0n, tokens: counted = 0n, used = 0n } = sums
  return {
    groups: sumByGroup(tokens),
    apiKeys: tokens.map(({ ref, name, group, requests, successes, isDeleted }) => ({
      ...{ ref, name, group, requests, successes, isDeleted },
    })),
    keys: tokens.map(({ successes, ...key }) => key),
    totals: {
      apiKeys: { rows, requests, successes },
      keys: { rows, requests, tokens: counted, used },
    },
  }
}

/** Makes a provider group of each group that tokens name; it has counted what they have. */
function sumByGroup(tokens: readonly Token[]): OldRated[] {
  const groups = new Map<string, OldRated>()
  for (const { group, requests, successes } of tokens) {
    if (group === null) continue
    const found = groups.get(group) ?? {
      ...{ ref: group, name: group, requests: 0n, successes: 0n, isDeleted: false },
    }
    found.requests += requests
    found.successes += successes
    groups.set(group, found)
  }
  return [...groups.values()]
}

/** Returns the requests of tokens that are not there any more. */
export function countOrphaned(byToken: Map<string, Counted>, known: Set<string>): bigint {
  let sum = 0n
  for (const [token, { requests }] of byToken) if (!known.has(token)) sum += requests
  return sum
}
