import { type Static, Type } from '@sinclair/typebox'
import { CatalogId, DeclaredName, TokenHash } from './catalog-ids.ts'

/** How many rules the catalog may have at once. */
export const MAX_RULES = 1_000

/** The name of a token that posts flushes. */
const SourceName = Type.String({ minLength: 1, maxLength: 255 })

/** A success rate. */
export const Below = Type.Number({ minimum: 0.0001, maximum: 1 })
export const Minutes = Type.Integer({ minimum: 1, maximum: 1_440 })
export const MinRequests = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })
export const Percent = Type.Integer({ minimum: 1, maximum: 100 })

/** The accounts that have a success rate. */
const RatedKind = Type.Union([Type.Literal('provider_group'), Type.Literal('api_key')])

/**
 * Something that should not happen, by kind. A rule of quotas or silent sources without a key or
 * source watches each of them.
 */
export const RuleRow = Type.Union([
  Type.Object({
    ...{ name: DeclaredName, kind: Type.Literal('success_rate'), of: RatedKind, id: CatalogId },
    ...{ below: Below, minutes: Minutes, min_requests: MinRequests },
  }),
  Type.Object({
    ...{ name: DeclaredName, kind: Type.Literal('quota'), percent: Percent },
    token_hash: Type.Optional(TokenHash),
  }),
  Type.Object({
    ...{ name: DeclaredName, kind: Type.Literal('silent_source') },
    source: Type.Optional(SourceName),
  }),
  Type.Object({ name: DeclaredName, kind: Type.Literal('failed_verification') }),
])
export type RuleRow = Static<typeof RuleRow>
export type RuleKind = RuleRow['kind']
export type RuleOf<Kind extends RuleKind> = Extract<RuleRow, { kind: Kind }>

/** The texts of rules that a client has chosen freely. */
export const textsOfRules = (rules: readonly RuleRow[]): string[] =>
  rules.flatMap((rule) => {
    if (rule.kind === 'quota') return rule.token_hash ?? []
    return rule.kind === 'silent_source' ? (rule.source ?? []) : []
  })
