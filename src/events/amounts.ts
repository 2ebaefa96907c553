import type { AccountKind } from './accounts.ts'
import {
  decodeColumns,
  isId,
  isStorable,
  LAST_UNIX_SECOND,
  PayloadError,
  sameRows,
} from './columns.ts'
import type { Postings } from './postings.ts'

/** Amounts of provider groups or API keys by column; index i of every column is one account. */
export type RatedAmounts = { ids: number[]; requests: number[]; successes: number[] }

/** Amounts of token keys by column. */
export type KeyAmounts = {
  hashes: string[]
  requests: number[]
  tokens: number[]
  quota_used: number[]
  /** Unix seconds, 0 for none; absent if the event changes no last access. */
  last_accessed_at?: number[]
}

/**
 * What an act adds to accounts, or takes from them: whole numbers, possibly negative. A kind is
 * absent if it has no rows.
 *
 *     {"api_keys":{"ids":[7],"requests":[-5],"successes":[-5]}}
 */
export type Amounts = {
  provider_groups?: RatedAmounts
  api_keys?: RatedAmounts
  keys?: KeyAmounts
}

const ID_KINDS = { provider_groups: 'provider_group', api_keys: 'api_key' } as const
const NONE: readonly number[][] = []

/** Returns the postings of amounts; `sign` -1 takes them back. They are in the hour `countedAt`. */
export function postAmounts(amounts: Amounts, sign: 1 | -1, countedAt: string | null): Postings[] {
  const postings: Postings[] = []
  const signed = (column: readonly number[]) => (sign === 1 ? column : column.map((n) => 0 - n))
  const post = (
    kind: AccountKind,
    accounts: readonly (number | string)[],
    sums: readonly number[][],
    maxima: readonly (readonly number[])[],
  ) =>
    postings.push({
      ...{ kind, accounts, sums: sums.map(signed), maxima, start: 0, end: accounts.length },
      ...{ countedAt, isSigned: true },
    })
  for (const name of ['provider_groups', 'api_keys'] as const) {
    const rows = amounts[name]
    if (rows) post(ID_KINDS[name], rows.ids, [rows.requests, rows.successes], NONE)
  }
  if (amounts.keys) {
    const { hashes, requests, tokens, quota_used, last_accessed_at } = amounts.keys
    post('key', hashes, [requests, tokens, quota_used], [last_accessed_at ?? requests.map(zero)])
  }
  return postings
}

const zero = () => 0

/** Reads amounts of a stored payload. Throws PayloadError if no append could have written it. */
export function decodeAmounts(payload: object, isAmount: (value: unknown) => boolean): Amounts {
  const amounts: Amounts = {}
  for (const name of ['provider_groups', 'api_keys'] as const) {
    if (!(name in payload)) continue
    const columns = { ids: isId, requests: isAmount, successes: isAmount }
    amounts[name] = decodeColumns(payload[name as never], columns) as RatedAmounts
  }
  if ('keys' in payload) {
    const keys = payload.keys as object
    const columns: Record<string, (value: unknown) => boolean> = {
      ...{ hashes: isHash, requests: isAmount, tokens: isAmount, quota_used: isAmount },
      ...(keys && 'last_accessed_at' in keys ? { last_accessed_at: isAccess } : {}),
    }
    amounts.keys = decodeColumns(keys, columns) as unknown as KeyAmounts
  }
  return amounts
}

const isHash = (hash: unknown) => typeof hash === 'string' && hash !== '' && isStorable(hash)

const isAccess = (at: unknown) =>
  Number.isSafeInteger(at) && (at as number) >= 0 && (at as number) <= LAST_UNIX_SECOND

/** True if both have the same rows, in any order. */
export function sameAmounts(a: Amounts, b: Amounts): boolean {
  return (['provider_groups', 'api_keys', 'keys'] as const).every((name) => {
    const [rows, others] = [a[name], b[name]]
    if (rows === undefined || others === undefined) return rows === others
    return sameRows(columnsOf(rows), columnsOf(others))
  })
}

const columnsOf = (rows: RatedAmounts | KeyAmounts): unknown[][] =>
  'ids' in rows
    ? [rows.ids, rows.requests, rows.successes]
    : [rows.hashes, rows.requests, rows.tokens, rows.quota_used, rows.last_accessed_at ?? []]

/** True for a whole number, possibly negative. */
export const isDifference = (value: unknown): boolean => Number.isSafeInteger(value)

/** Reads texts of a stored payload. Throws PayloadError unless each matches its pattern. */
export function decodeTexts<Name extends string>(
  payload: unknown,
  patterns: Record<Name, RegExp>,
): Record<Name, string> {
  if (typeof payload !== 'object' || payload === null) throw new PayloadError('not an object')
  const texts = {} as Record<Name, string>
  for (const name of Object.keys(patterns) as Name[]) {
    const text = (payload as Record<string, unknown>)[name]
    if (typeof text !== 'string' || !patterns[name].test(text) || !isStorable(text)) {
      throw new PayloadError(`${name} is not a valid text`)
    }
    texts[name] = text
  }
  return texts
}
