import type { Accepted } from '../accept.ts'
import type { Accounts } from '../accounts.ts'
import type { OldSystem } from '../old-books.ts'
import type { MovedBatch } from '../openings.ts'

/** What is compared. */
export const FIELDS = ['requests', 'successes', 'tokens', 'quota_used'] as const
export type Field = (typeof FIELDS)[number]

export type AccountKind = 'provider_groups' | 'api_keys' | 'keys'
export type Amounts = Partial<Record<Field, bigint>>
/** Amounts by account: `api_keys 7`, with the name that the older system has. */
export type Reading = Map<string, Amounts>

export const accountOf = (kind: AccountKind, ref: string) => `${kind} ${ref}`

/** Returns the kind and the name of an account. */
export function splitAccount(account: string): { kind: AccountKind; ref: string } {
  const end = account.indexOf(' ')
  return { kind: account.slice(0, end) as AccountKind, ref: account.slice(end + 1) }
}

/** The amounts of the older system. What keys without a limit have used counts only there. */
export function readOld(
  system: OldSystem,
  { groups, apiKeys, keys }: Accepted,
  areQuotasKept: boolean,
): Reading {
  const reading: Reading = new Map()
  for (const { ref, requests, successes } of groups) {
    reading.set(accountOf('provider_groups', ref), { requests, successes })
  }
  for (const { ref, requests, successes } of apiKeys) {
    reading.set(accountOf('api_keys', ref), { requests, successes })
  }
  for (const { ref, requests, tokens, used, limit } of keys) {
    const hasQuota = areQuotasKept && (limit !== null || system.quotaUnit === null)
    const quota = hasQuota ? { quota_used: used } : {}
    reading.set(accountOf('keys', ref), { requests, tokens, ...quota })
  }
  return reading
}

/** The amounts of the service. */
export function readNow({ groups, apiKeys, keys }: Accounts): Reading {
  const reading: Reading = new Map()
  for (const [kind, rows] of [
    ['provider_groups', groups],
    ['api_keys', apiKeys],
  ] as const) {
    for (const [ref, row] of rows) {
      reading.set(accountOf(kind, ref), {
        requests: BigInt(row.total_requests),
        successes: BigInt(row.success_requests),
      })
    }
  }
  for (const [ref, row] of keys) {
    reading.set(accountOf('keys', ref), {
      requests: BigInt(row.request_count),
      tokens: BigInt(row.used_tokens),
      quota_used: BigInt(row.quota_used),
    })
  }
  return reading
}

/** The amounts that a move has opened, from the log. Rows of the service have the names. */
export function readOpened(batches: readonly MovedBatch[], accounts: Accounts): Reading {
  const reading: Reading = new Map()
  for (const [kind, there] of [
    ['provider_groups', accounts.groups],
    ['api_keys', accounts.apiKeys],
  ] as const) {
    const names = new Map([...there].map(([ref, { id }]) => [id, ref]))
    for (const { opening } of batches) {
      const rows = opening[kind]
      rows?.ids.forEach((id, i) => {
        const amounts = {
          requests: BigInt(rows.requests[i]!),
          successes: BigInt(rows.successes[i]!),
        }
        reading.set(accountOf(kind, names.get(id) ?? String(id)), amounts)
      })
    }
  }
  for (const { opening } of batches) {
    const { keys } = opening
    keys?.hashes.forEach((hash, i) => {
      reading.set(accountOf('keys', hash), {
        requests: BigInt(keys.requests[i]!),
        tokens: BigInt(keys.tokens[i]!),
        quota_used: BigInt(keys.quota_used[i]!),
      })
    })
  }
  return reading
}
