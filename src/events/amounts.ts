import type { AccountKind } from './accounts.ts'
import {
  decodeColumns,
  isCount,
  isId,
  isStorable,
  LAST_UNIX_SECOND,
  PayloadError,
  sameRows,
} from './columns.ts'
import { isCombination, isMeasureNumber } from './details.ts'
import type { Postings } from './postings.ts'

/**
 * Dimensions and measures of rows, in an act on flushes that have some. A row without a combination
 * changes no usage by dimension.
 */
export type DetailColumns = {
  /** The index of each row in `combinations`, or null. */
  combination?: (number | null)[]
  /** By number, see the catalog. */
  measures?: Record<string, number[]>
}

/** Amounts of provider groups or API keys by column; index i of every column is one account. */
export type RatedAmounts = {
  ids: number[]
  requests: number[]
  successes: number[]
} & DetailColumns

/** Amounts of token keys by column. */
export type KeyAmounts = {
  hashes: string[]
  requests: number[]
  tokens: number[]
  quota_used: number[]
  /** Unix seconds, 0 for none; absent if the event changes no last access. */
  last_accessed_at?: number[]
} & DetailColumns

/**
 * What an act adds to accounts, or takes from them: whole numbers, possibly negative. A kind is
 * absent if it has no rows.
 *
 *     {"api_keys":{"ids":[7],"requests":[-5],"successes":[-5]}}
 *
 * With dimensions and measures:
 *
 *     {"combinations":["{\"model\":\"gpt-5\"}"],"api_keys":{"ids":[7],"requests":[5],
 *       "successes":[5],"combination":[0],"measures":{"0":[1200]}}}
 */
export type Amounts = {
  provider_groups?: RatedAmounts
  api_keys?: RatedAmounts
  keys?: KeyAmounts
  /** Combinations of dimension values (see `formatCombination`), if rows have some. */
  combinations?: string[]
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
    columns: DetailColumns,
  ) => {
    const rows = { kind, sums: sums.map(signed), maxima, start: 0, end: accounts.length }
    const whole: Postings = { ...rows, accounts, countedAt, isSigned: true }
    if (columns.combination === undefined) postings.push(whole)
    else postings.push(...splitByDetails(whole, columns, amounts.combinations ?? [], signed))
  }
  for (const name of ['provider_groups', 'api_keys'] as const) {
    const rows = amounts[name]
    if (rows) post(ID_KINDS[name], rows.ids, [rows.requests, rows.successes], NONE, rows)
  }
  if (amounts.keys) {
    const { hashes, requests, tokens, quota_used, last_accessed_at } = amounts.keys
    const accesses = last_accessed_at ?? requests.map(zero)
    post('key', hashes, [requests, tokens, quota_used], [accesses], amounts.keys)
  }
  return postings
}

const zero = () => 0

/** Returns the rows with a combination and their details, and the others without any. */
export function splitByDetails(
  whole: Postings,
  { combination = [], measures = {} }: DetailColumns,
  combinations: readonly string[],
  signed = (column: readonly number[]) => column,
): Postings[] {
  const pick = (isPicked: (index: number | null) => boolean): Postings => {
    const keep = <Value>(column: readonly Value[]) =>
      column.filter((_, i) => isPicked(combination[i]!))
    const accounts = keep(whole.accounts as readonly (number | string)[])
    return {
      ...whole,
      ...{ accounts, sums: whole.sums.map(keep), maxima: whole.maxima.map(keep) },
      end: accounts.length,
    }
  }
  const own = combination.filter((index) => index !== null)
  const detailed = pick((index) => index !== null)
  const others = pick((index) => index === null)
  const details = {
    ...{ combinations, combination: own },
    measures: Object.entries(measures).map(([number, values]) => ({
      number: Number(number),
      values: signed(values.filter((_, i) => combination[i] !== null)),
    })),
  }
  return [{ ...detailed, details }, others].filter(({ end }) => end > 0)
}

/**
 * Reads amounts of a stored payload. Throws PayloadError if no append could have written it. Only
 * opening balances have last accesses, and only some reversals details.
 */
export function decodeAmounts(
  payload: object,
  isAmount: (value: unknown) => boolean,
  { withDetails = false, mayHaveAccesses = false } = {},
): Amounts {
  const amounts: Amounts = {}
  const { combinations } = decodeCombinations(withDetails ? payload : {})
  if (combinations !== undefined) amounts.combinations = combinations
  const detailsOf = (rows: unknown, length: number) =>
    combinations === undefined
      ? {}
      : decodeDetailColumns(rows, length, combinations.length, isDifference)
  for (const name of ['provider_groups', 'api_keys'] as const) {
    if (!(name in payload)) continue
    const columns = { ids: isId, requests: isAmount, successes: isAmount }
    const rows = decodeColumns(payload[name as never], columns) as RatedAmounts
    amounts[name] = { ...rows, ...detailsOf(payload[name as never], rows.ids.length) }
  }
  if ('keys' in payload) {
    const { keys } = payload
    const hasAccesses = mayHaveAccesses && Object.hasOwn(Object(keys), 'last_accessed_at')
    const columns: Record<string, (value: unknown) => boolean> = {
      ...{ hashes: isHash, requests: isAmount, tokens: isAmount, quota_used: isAmount },
      ...(hasAccesses && { last_accessed_at: isAccess }),
    }
    const rows = decodeColumns(keys, columns) as unknown as KeyAmounts
    amounts.keys = { ...rows, ...detailsOf(keys, rows.hashes.length) }
  }
  return amounts
}

/** Reads the combinations of an act, if it has some. */
export function decodeCombinations(payload: { combinations?: unknown }): {
  combinations?: string[]
} {
  const { combinations } = payload
  if (combinations === undefined) return {}
  if (!Array.isArray(combinations) || !combinations.every(isCombination)) {
    throw new PayloadError('combinations are not values by name')
  }
  return { combinations }
}

/** Reads the dimensions and measures of rows. */
export function decodeDetailColumns(
  rows: unknown,
  length: number,
  combinations: number,
  isAmount: (value: unknown) => boolean,
): DetailColumns {
  const { combination, measures } = rows as { combination: unknown; measures: unknown }
  const isIndex = (index: unknown) =>
    index === null || (isCount(index) && (index as number) < combinations)
  const isColumn = (column: unknown, isValue: (value: unknown) => boolean) =>
    Array.isArray(column) && column.length === length && column.every(isValue)
  if (!isColumn(combination, isIndex)) throw new PayloadError('no column combination')
  const isNumberOfMeasure = (text: string) =>
    isMeasureNumber(Number(text)) && String(Number(text)) === text
  const isMeasures =
    typeof measures === 'object' &&
    measures !== null &&
    !Array.isArray(measures) &&
    Object.entries(measures).every(
      ([number, column]) => isNumberOfMeasure(number) && isColumn(column, isAmount),
    )
  if (!isMeasures) throw new PayloadError('no measures by number')
  return {
    combination: combination as (number | null)[],
    measures: measures as Record<string, number[]>,
  }
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
  patterns: Record<Name, Pick<RegExp, 'test'>>,
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
