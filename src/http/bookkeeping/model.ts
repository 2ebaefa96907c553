import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import type { PostedAct } from '../../bookkeeping/posted-act.ts'
import type { Amounts } from '../../events/amounts.ts'
import { CatalogId, TokenHash } from '../../events/catalog-ids.ts'
import { isStorable, LAST_UNIX_SECOND } from '../../events/columns.ts'
import { parseLocation } from '../../events/positions.ts'
import { Limit, strict, Timestamp, toMoment } from '../params.ts'
import { describeFault } from '../place.ts'

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const Difference = Type.Integer({
  minimum: Number.MIN_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER,
})
const list = <Row extends TSchema>(row: Row) => Type.Optional(Type.Array(row))

const rowsOf = <Amount extends TSchema>(amount: Amount) => ({
  rated: Type.Object({ id: CatalogId, total_requests: amount, success_requests: amount }, strict),
  key: { token_hash: TokenHash, request_count: amount, used_tokens: amount, quota_used: amount },
})

const balance = rowsOf(Count)
const difference = rowsOf(Difference)

/** The body of POST /admin/balances. */
export const BalancesBody = Type.Object(
  {
    as_of: Timestamp('The time until which the older system had counted'),
    origin: Type.Object(
      {
        system: Type.String({ minLength: 1, maxLength: 255, description: 'The older system' }),
        note: Type.Optional(Type.Union([Type.String({ maxLength: 500 }), Type.Null()])),
      },
      strict,
    ),
    provider_groups: list(balance.rated),
    api_keys: list(balance.rated),
    keys: list(
      Type.Object(
        {
          ...balance.key,
          last_accessed_at: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: LAST_UNIX_SECOND,
              description: 'Unix seconds; 0, the default, for never',
            }),
          ),
        },
        strict,
      ),
    ),
  },
  { ...strict, title: 'Balances' },
)

/** The body of POST /admin/corrections: exactly one of `reverse` and `adjust`. */
export const CorrectionBody = Type.Object(
  {
    reverse: Type.Optional(
      Type.String({
        pattern: '^\\d{1,4}/\\d{1,15}$',
        description: 'The position of the event to take back, such as `0/41`',
      }),
    ),
    adjust: Type.Optional(
      Type.Object(
        {
          provider_groups: list(difference.rated),
          api_keys: list(difference.rated),
          keys: list(Type.Object(difference.key, strict)),
        },
        strict,
      ),
    ),
    reason: Type.String({ minLength: 1, maxLength: 500 }),
  },
  { ...strict, title: 'Correction' },
)

export const CorrectionsQuery = Type.Object(
  {
    reversed: Type.Optional(
      Type.String({
        pattern: '^\\d{1,4}/\\d{1,15}$',
        description: 'Only the reversal of the event at this position, such as `0/41`',
      }),
    ),
    limit: Type.Optional(Limit),
    sort: Type.Optional(
      Type.Union([Type.Literal('position'), Type.Literal('-position')], {
        description: 'The order; default `-position`, the newest first',
      }),
    ),
    cursor: Type.Optional(
      Type.String({ maxLength: 1_024, description: 'The `next_cursor` of the previous page' }),
    ),
  },
  strict,
)

/** The body of POST /admin/keys/:token_hash/quota-reset. */
export const ResetBody = Type.Object(
  { reason: Type.String({ minLength: 1, maxLength: 500 }) },
  { ...strict, title: 'QuotaReset' },
)

/** The `error` of an invalid body. */
export const INVALID_BALANCES = 'invalid balances'
export const INVALID_CORRECTION = 'invalid correction'
export const INVALID_RESET = 'invalid quota reset'

const balances = TypeCompiler.Compile(BalancesBody)
const correction = TypeCompiler.Compile(CorrectionBody)
const reset = TypeCompiler.Compile(ResetBody)

const FORMS = {
  balances: { parse: parseBalances, error: INVALID_BALANCES },
  correction: { parse: parseCorrection, error: INVALID_CORRECTION },
  reset: { parse: parseReset, error: INVALID_RESET },
}

/** The bodies of acts. */
export type ActForm = keyof typeof FORMS

/** Why a body is refused. */
export type ActFault = { error: string; detail: string }

/** Parses the body of an act. That of a reset does not name the key, which is in the path. */
export function parseAct(form: ActForm, text: string): PostedAct | ActFault {
  const { parse, error } = FORMS[form]
  const posted = parse(text)
  return typeof posted === 'string' ? { error, detail: posted } : posted
}

/** Returns a sentence that describes the first fault if they are invalid. */
function parseBalances(text: string): PostedAct | string {
  const body = parse(balances, text)
  if (typeof body === 'string') return body
  const { as_of, origin, ...rows } = body
  const fault = findInvalid(rows)
  if (fault !== null) return fault
  const moment = toMoment(as_of)
  if (moment === null) return 'as_of does not exist in the calendar.'
  if (Date.parse(moment) > Date.now()) return 'as_of is in the future.'
  for (const text of [origin.system, origin.note ?? '']) {
    if (!isStorable(text)) return 'origin contains a NUL or a lone surrogate.'
  }
  for (const kind of ['provider_groups', 'api_keys'] as const) {
    const at = (rows[kind] ?? []).findIndex((row) => row.success_requests > row.total_requests)
    if (at >= 0) return `${kind}[${at}] has more successes than requests.`
  }
  const amounts = toAmounts(rows)
  if (amounts.keys) {
    amounts.keys.last_accessed_at = rows.keys!.map((row) => row.last_accessed_at ?? 0)
  }
  return {
    kind: 'open',
    opening: {
      as_of: toLogTime(moment),
      origin: { system: origin.system, note: origin.note ?? null },
      ...amounts,
    },
  }
}

/** Returns a sentence that describes the first fault if it is invalid. */
function parseCorrection(text: string): PostedAct | string {
  const body = parse(correction, text)
  if (typeof body === 'string') return body
  const { reverse, adjust, reason } = body
  if (!isStorable(reason)) return 'reason contains a NUL or a lone surrogate.'
  if ((reverse === undefined) === (adjust === undefined)) {
    return 'The body must have exactly one of reverse and adjust.'
  }
  if (reverse !== undefined) {
    return { kind: 'reverse', ...parseLocation(reverse), reason }
  }
  const fault = findInvalid(adjust!)
  return fault ?? { kind: 'adjust', adjustment: { reason, ...toAmounts(adjust!) } }
}

/** Returns a sentence that describes the first fault if it is invalid. */
function parseReset(text: string): PostedAct | string {
  const body = parse(reset, text)
  if (typeof body === 'string') return body
  if (!isStorable(body.reason)) return 'reason contains a NUL or a lone surrogate.'
  return { kind: 'reset', tokenHash: '', reason: body.reason }
}

type Rows = Pick<Static<typeof BalancesBody>, 'provider_groups' | 'api_keys' | 'keys'>

function parse<Schema extends TSchema>(
  check: TypeCheck<Schema>,
  text: string,
): Static<Schema> | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'The body is not JSON.'
  }
  return check.Check(value) ? value : describeFault(check, value)
}

/** Checks what the schemas can't express: that there are rows, and each account once. */
function findInvalid(rows: Rows): string | null {
  let count = 0
  for (const kind of ['provider_groups', 'api_keys', 'keys'] as const) {
    const seen = new Map<number | string, number>()
    for (const [i, row] of (rows[kind] ?? []).entries()) {
      const account = 'id' in row ? row.id : row.token_hash
      if (typeof account === 'string' && !isStorable(account)) {
        return `${kind}[${i}].token_hash contains a NUL or a lone surrogate.`
      }
      const before = seen.get(account)
      if (before !== undefined) return `${kind}[${i}] repeats the row of ${kind}[${before}].`
      seen.set(account, i)
      count++
    }
  }
  return count === 0 ? 'The body names no provider group, API key or token key.' : null
}

function toAmounts({ provider_groups = [], api_keys = [], keys = [] }: Rows): Amounts {
  const rated = (rows: NonNullable<Rows['api_keys']>) => ({
    ids: rows.map(({ id }) => id),
    requests: rows.map(({ total_requests }) => total_requests),
    successes: rows.map(({ success_requests }) => success_requests),
  })
  return {
    ...(provider_groups.length > 0 && { provider_groups: rated(provider_groups) }),
    ...(api_keys.length > 0 && { api_keys: rated(api_keys) }),
    ...(keys.length > 0 && {
      keys: {
        hashes: keys.map(({ token_hash }) => token_hash),
        requests: keys.map(({ request_count }) => request_count),
        tokens: keys.map(({ used_tokens }) => used_tokens),
        quota_used: keys.map(({ quota_used }) => quota_used),
      },
    }),
  }
}

/** `2026-11-01T00:00:00Z` as the log writes it: `2026-11-01T00:00:00.000000+00:00`. */
function toLogTime(moment: string): string {
  const fraction = moment.slice(20, -1).slice(0, 6).padEnd(6, '0')
  return `${moment.slice(0, 19)}.${fraction}+00:00`
}
