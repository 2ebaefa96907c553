import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { CatalogId, DeclaredName, TokenHash } from '../../events/catalog-ids.ts'
import { isStorable } from '../../events/columns.ts'
import {
  Below,
  MAX_RULES,
  MinRequests,
  Minutes,
  Percent,
  type RuleKind,
  type RuleRow,
  textsOfRules,
} from '../../events/rule.ts'
import type { Catalog } from '../../log/catalog/catalog.ts'
import type { Conflict } from './merge.ts'

/** The `error` of a change that would leave more than MAX_RULES, MAX_WINDOWS or MAX_GENERAL. */
export const TOO_MANY_RULES = 'too many rules'

const DEFAULT_MIN_REQUESTS = 20

/** How many different windows rules may have: each is a read of the past once a minute. */
const MAX_WINDOWS = 20

/** How many rules may watch every key or every source: each looks at 100,000 of them. */
const MAX_GENERAL = 20

const KINDS = ['success_rate', 'quota', 'silent_source', 'failed_verification'] as const

/** The members of each kind besides `name` and `kind`, and whether they are required. */
const MEMBERS: Record<RuleKind, Record<string, boolean>> = {
  success_rate: { of: true, id: true, below: true, minutes: true, min_requests: false },
  quota: { percent: true, token_hash: false },
  silent_source: { source: false },
  failed_verification: {},
}

const only = <Schema extends TSchema>(schema: Schema, description: string) =>
  Type.Optional(Type.Union([schema, Type.Null()], { description }))
const oneOf = (values: readonly string[]) =>
  Type.String({ pattern: `^(?:${values.join('|')})$`, openapi: { enum: values } })

/** Rules in a body. A rule is replaced as a whole; what its kind does not have is absent. */
export const RulesBody = Type.Array(
  Type.Object(
    {
      name: Type.String({
        ...DeclaredName,
        description: 'A lower-case letter, then up to 63 of `a` to `z`, `0` to `9` and `_`',
      }),
      kind: Type.String({ ...oneOf(KINDS), description: `One of ${KINDS.join(', ')}` }),
      of: only(
        oneOf(['provider_group', 'api_key']),
        'Whose success rate: `provider_group` or `api_key`',
      ),
      id: only(CatalogId, 'The id of the provider group or API key, which may not exist yet'),
      below: only(Below, 'The success rate below which it is too low: 0.0001 to 1'),
      minutes: only(Minutes, 'The minutes in which requests count: 1 to 1,440'),
      min_requests: only(MinRequests, 'With fewer requests, nothing changes; default 20'),
      percent: only(Percent, 'How much of the quota is used: 1 to 100'),
      token_hash: only(TokenHash, 'The token key; absent for every key that has a limit'),
      source: only(
        Type.String({ minLength: 1, maxLength: 255 }),
        'The name of a token; absent for every source',
      ),
    },
    { additionalProperties: false },
  ),
  { maxItems: MAX_RULES },
)

type RuleBody = Static<typeof RulesBody>[number]

/** Returns what the schema can't express about a rule, or null. */
export function findInRule(body: RuleBody): string | null {
  const members = MEMBERS[body.kind as RuleKind]
  for (const [member, value] of Object.entries(body)) {
    const isPresent = value !== null && member !== 'name' && member !== 'kind'
    if (isPresent && members[member] === undefined) return `.${member}: not of a ${body.kind} rule.`
  }
  for (const [member, isRequired] of Object.entries(members)) {
    const value = body[member as keyof RuleBody] ?? null
    if (isRequired && value === null) return `.${member} is required of a ${body.kind} rule.`
  }
  const { token_hash } = body
  if (token_hash && token_hash.trim() !== token_hash) {
    return '.token_hash has leading or trailing white space.'
  }
  const isValid = textsOfRules([toRow(body)]).every(isStorable)
  return isValid ? null : ' contains a NUL or a lone surrogate.'
}

/** Returns the complete rows of rules. */
export function mergeRules(catalog: Catalog, rules: readonly RuleBody[]): RuleRow[] | Conflict {
  const rows = rules.map(toRow)
  const all = new Map([...catalog.rules, ...rows.map((row) => [row.name, row] as const)])
  const found = [...all.values()]
  const windows = new Set(found.flatMap((row) => (row.kind === 'success_rate' ? row.minutes : [])))
  if (windows.size > MAX_WINDOWS) {
    return tooMany(`${windows.size} different \`minutes\` would be there`, MAX_WINDOWS)
  }
  const general = found.filter(isGeneral).length
  if (general > MAX_GENERAL) {
    return tooMany(`${general} that watch every key or source would be there`, MAX_GENERAL)
  }
  return all.size > MAX_RULES ? tooMany(`${all.size} would be there`, MAX_RULES) : rows
}

const tooMany = (what: string, limit: number): Conflict => ({
  error: TOO_MANY_RULES,
  detail: `rules: ${what}; at most ${limit} can be. End others first.`,
})

/** True for a rule that watches every key or every source. */
const isGeneral = (row: RuleRow): boolean =>
  (row.kind === 'quota' && row.token_hash === undefined) ||
  (row.kind === 'silent_source' && row.source === undefined)

/** `findInRule` has checked that the members of its kind are there. */
function toRow({ name, kind, of, id, ...body }: RuleBody): RuleRow {
  switch (kind as RuleKind) {
    case 'success_rate':
      return {
        ...{ name, kind: 'success_rate', of: of as 'provider_group' | 'api_key', id: id! },
        ...{ below: body.below!, minutes: body.minutes! },
        min_requests: body.min_requests ?? DEFAULT_MIN_REQUESTS,
      }
    case 'quota': {
      const { percent, token_hash } = body
      return { name, kind: 'quota', percent: percent!, ...(token_hash ? { token_hash } : {}) }
    }
    case 'silent_source':
      return { name, kind: 'silent_source', ...(body.source ? { source: body.source } : {}) }
    case 'failed_verification':
      return { name, kind: 'failed_verification' }
  }
}
