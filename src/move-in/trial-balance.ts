import { UserError } from '../platform/user-error.ts'
import type { Accepted } from './accept.ts'
import type { DatabaseTotals, OldBooks, OldKey } from './old-books.ts'

/** A line for a provider group; `ownRequests` are what the group itself has counted. */
export type GroupLine = {
  group: string
  name: string | null
  keys: number
  ownRequests: bigint
  ownSuccesses: bigint
  /** Sums of its API keys, which may be less: those of deleted keys are only in the group. */
  requests: bigint
  successes: bigint
}

/** A line for token keys: of a group, or of all. Limits and what remains are of limited keys. */
export type KeyLine = {
  group: string
  keys: number
  unlimited: number
  requests: bigint
  tokens: bigint
  used: bigint
  limits: bigint
  remaining: bigint
}

export type TrialBalance = {
  groups: GroupLine[]
  groupTotal: GroupLine
  keys: KeyLine[]
  keyTotal: KeyLine
}

/** The line of rows without a group. */
export const NO_GROUP = '(no group)'
const TOTAL = 'total'

/** Adds up rows by provider group, and in total. */
export function balance({ groups, apiKeys, keys }: Accepted): TrialBalance {
  const lines = new Map<string, GroupLine>()
  const lineOf = (group: string) => {
    const line = lines.get(group) ?? newGroupLine(group)
    lines.set(group, line)
    return line
  }
  const groupTotal = newGroupLine(TOTAL)
  for (const { ref, name, requests, successes } of groups) {
    lineOf(ref).name = name
    for (const line of [lineOf(ref), groupTotal]) {
      line.ownRequests += requests
      line.ownSuccesses += successes
    }
  }
  for (const { group, requests, successes } of apiKeys) {
    const name = group !== null && lines.has(group) ? group : NO_GROUP
    for (const line of [lineOf(name), groupTotal]) {
      line.keys++
      line.requests += requests
      line.successes += successes
    }
  }
  return { groups: inOrder(lines), groupTotal, ...balanceKeys(keys) }
}

function balanceKeys(keys: readonly OldKey[]): Pick<TrialBalance, 'keys' | 'keyTotal'> {
  const lines = new Map<string, KeyLine>()
  const keyTotal = newKeyLine(TOTAL)
  for (const { group, requests, tokens, used, limit } of keys) {
    const name = group ?? NO_GROUP
    const own = lines.get(name) ?? newKeyLine(name)
    lines.set(name, own)
    for (const line of [own, keyTotal]) {
      line.keys++
      line.requests += requests
      line.tokens += tokens
      line.used += used
      if (limit === null) line.unlimited++
      line.limits += limit ?? 0n
      line.remaining += limit === null ? 0n : limit - used
    }
  }
  return { keys: inOrder(lines), keyTotal }
}

const ORDER = new Intl.Collator('en', { numeric: true })
const inOrder = <Line extends { group: string }>(lines: Map<string, Line>) =>
  [...lines.values()].sort((a, b) => ORDER.compare(a.group, b.group))

const newGroupLine = (group: string): GroupLine => ({
  ...{ group, name: null, keys: 0, requests: 0n, successes: 0n },
  ...{ ownRequests: 0n, ownSuccesses: 0n },
})

const newKeyLine = (group: string): KeyLine => ({
  ...{ group, keys: 0, unlimited: 0, requests: 0n, tokens: 0n },
  ...{ used: 0n, limits: 0n, remaining: 0n },
})

/**
 * Compares the sums of the rows that were read with those that the old database computed in the
 * same snapshot. Throws UserError if they differ: then the rows were not read as they are.
 */
export function checkSums({ groups, apiKeys, keys, totals }: OldBooks): void {
  const read = {
    groups: sumOf(groups, ['requests', 'successes']),
    apiKeys: sumOf(apiKeys, ['requests', 'successes']),
    keys: sumOf(keys, ['requests', 'tokens', 'used']),
  }
  for (const kind of ['groups', 'apiKeys', 'keys'] as const) {
    for (const [name, sum] of Object.entries(totals[kind] ?? {})) {
      if (read[kind][name] === sum) continue
      throw new UserError(
        `The rows of the old database have ${read[kind][name]} ${name} (${kind}), but it adds up ` +
          `${sum} itself: nothing was moved.`,
      )
    }
  }
}

/** Returns how many rows of each kind are not moved, with their requests; none if all are. */
export function countLeftOut(books: OldBooks, accepted: Accepted): string[] {
  return (['groups', 'apiKeys', 'keys'] as const).flatMap((kind) => {
    const read = sumOf(books[kind], ['requests'])
    const kept = sumOf(accepted[kind], ['requests'])
    const rows = read.rows! - kept.rows!
    const requests = read.requests! - kept.requests!
    return rows === 0n ? [] : [`${LABELS[kind]} not moved: ${rows}, with ${requests} requests`]
  })
}

const LABELS = { groups: 'Provider groups', apiKeys: 'API keys', keys: 'Token keys' }

function sumOf<Name extends string>(
  rows: readonly Record<Name, bigint>[],
  names: readonly Name[],
): DatabaseTotals {
  const sums = names.map((name) => [name, rows.reduce((sum, row) => sum + row[name], 0n)])
  return { ...Object.fromEntries(sums), rows: BigInt(rows.length) }
}
