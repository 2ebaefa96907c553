import type { Accepted } from './accept.ts'
import { type Accounts, readAccounts } from './accounts.ts'
import { limitOf } from './catalog.ts'
import type { Move, Moved } from './move.ts'
import type { Service } from './service.ts'

/** Sums of a kind of account: in the older system, opened in the log, and in the service now. */
export type Sum = { name: string; old: bigint; opened: bigint; now: bigint }

export type Verification = {
  sums: Sum[]
  /** Rows whose opening balance, name or limit is not that of the older system. */
  differences: string[]
}

/**
 * Reads back what a move has written and compares it with the older system, row by row. What the
 * service has besides the opened balances was counted by flushes, before the move or since.
 */
export async function verifyMove(
  service: Service,
  { system, accepted }: Move,
  moved: Moved,
): Promise<Verification> {
  const accounts = await readAccounts(service, system)
  const { groups, apiKeys, keys } = accounts
  const opened = readOpened(moved)
  // Names and limits may have been changed since, and those of rows retired before stay.
  const isNew = moved.recordedBefore === 0
  const differences: string[] = []
  const check = (at: string, expected: string, found: string) => {
    if (expected !== found) differences.push(`${at}: ${expected} expected, ${found} found`)
  }
  for (const [kind, rows, there] of [
    ['provider_groups', accepted.groups, groups],
    ['api_keys', accepted.apiKeys, apiKeys],
  ] as const) {
    for (const { ref, name, requests, successes, isDeleted } of rows) {
      const row = there.get(ref)
      if (isNew && !isDeleted) check(`${kind} ${ref} name`, name ?? '', row?.name ?? '')
      check(`${kind} ${ref}`, `${requests}/${successes}`, opened[kind].get(row?.id ?? 0) ?? 'none')
    }
  }
  for (const row of accepted.keys) {
    const expected = `${row.requests}/${row.tokens}/${row.used}`
    const there = keys.get(row.ref)
    check(`keys ${row.ref}`, expected, opened.keys.get(row.ref) ?? 'none')
    if (!isNew || row.isDeleted) continue
    check(`keys ${row.ref} limit`, `${limitOf(row)}`, `${there?.quota_limit ?? 'none'}`)
  }
  return { sums: sumColumns(accepted, moved, accounts), differences }
}

function readOpened({ batches }: Moved) {
  const opened = {
    provider_groups: new Map<number, string>(),
    api_keys: new Map<number, string>(),
    keys: new Map<string, string>(),
  }
  for (const { opening } of batches) {
    for (const kind of ['provider_groups', 'api_keys'] as const) {
      const rows = opening[kind]
      rows?.ids.forEach((id, i) => {
        opened[kind].set(id, `${rows.requests[i]}/${rows.successes[i]}`)
      })
    }
    const { keys } = opening
    keys?.hashes.forEach((hash, i) => {
      opened.keys.set(hash, `${keys.requests[i]}/${keys.tokens[i]}/${keys.quota_used[i]}`)
    })
  }
  return opened
}

const RATED = [
  { label: 'provider groups', kind: 'provider_groups', list: 'groups' },
  { label: 'API keys', kind: 'api_keys', list: 'apiKeys' },
] as const

const RATED_COLUMNS = [
  { column: 'requests', field: 'total_requests' },
  { column: 'successes', field: 'success_requests' },
] as const

const KEY_COLUMNS = [
  { label: 'requests', old: 'requests', column: 'requests', field: 'request_count' },
  { label: 'tokens', old: 'tokens', column: 'tokens', field: 'used_tokens' },
  { label: 'used of quotas', old: 'used', column: 'quota_used', field: 'quota_used' },
] as const

/** Adds up whole columns, each by what the older system, the log and the service have. */
function sumColumns(accepted: Accepted, { batches }: Moved, there: Accounts): Sum[] {
  const openings = batches.map(({ opening }) => opening)
  const rated = RATED.flatMap(({ label, kind, list }) =>
    RATED_COLUMNS.map(({ column, field }) => ({
      name: `${label}: ${column}`,
      old: add(accepted[list].map((row) => row[column])),
      opened: add(openings.flatMap((opening) => opening[kind]?.[column] ?? [])),
      now: add(accepted[list].map(({ ref }) => there[list].get(ref)?.[field] ?? 0)),
    })),
  )
  const keys = KEY_COLUMNS.map(({ label, old, column, field }) => ({
    name: `token keys: ${label}`,
    old: add(accepted.keys.map((row) => row[old])),
    opened: add(openings.flatMap((opening) => opening.keys?.[column] ?? [])),
    now: add(accepted.keys.map(({ ref }) => there.keys.get(ref)?.[field] ?? 0)),
  }))
  return [...rated, ...keys]
}

const add = (values: readonly (bigint | number)[]) =>
  values.reduce<bigint>((sum, value) => sum + BigInt(value), 0n)
