import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { CatalogId, DeclaredName, TokenHash } from './catalog-ids.ts'
import { isStorable, PayloadError } from './columns.ts'
import { RuleRow, textsOfRules } from './rule.ts'

/** 0 means no group. The group may not exist (yet): then no group counts the key's requests. */
export const GroupId = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** In tokens; -1 means unlimited. */
export const QuotaLimit = Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER })

/** A name for people; null if there is none. */
export const CatalogName = Type.Union([Type.String({ maxLength: 255 }), Type.Null()])

/**
 * The name that a gateway uses for a provider group or an API key. It names the same row forever:
 * it never changes or moves to another one, and stays with a retired row.
 */
export const ExternalId = Type.String({
  minLength: 1,
  maxLength: 255,
  // No surrounding white space.
  pattern: '^\\S(?:[^]*\\S)?$',
})

/** The quota period of a token key that has one; weeks begin on Monday. */
export const QuotaPeriod = Type.Union([
  Type.Literal('day'),
  Type.Literal('week'),
  Type.Literal('month'),
])
export type QuotaPeriod = Static<typeof QuotaPeriod>

/** The name of a time zone in the IANA database, such as `Europe/Berlin`. */
export const QuotaZone = Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_+/-]{0,63}$' })

/** What a measure is counted in, for people; a measure may have none. */
export const MeasureUnit = Type.String({ minLength: 1, maxLength: 64 })

/** How many dimensions and measures may be declared at once; retired ones do not count. */
export const MAX_DIMENSIONS = 8
export const MAX_MEASURES = 32

/** How many measures a log may ever declare: totals have a place for each, in every row. */
export const MAX_MEASURES_EVER = 256

/** The place of a measure among all that were ever declared, in their order: 0, 1, 2 … */
const MeasureNumber = Type.Integer({ minimum: 0, maximum: MAX_MEASURES_EVER - 1 })

const list = <Row extends TSchema>(row: Row) => Type.Optional(Type.Array(row))

const external_id = Type.Optional(ExternalId)

const Rows = Type.Object({
  provider_groups: list(Type.Object({ id: CatalogId, name: CatalogName, external_id })),
  api_keys: list(Type.Object({ id: CatalogId, group_id: GroupId, name: CatalogName, external_id })),
  keys: list(
    Type.Object({
      ...{ token_hash: TokenHash, quota_limit: QuotaLimit, name: CatalogName },
      ...{ quota_period: Type.Optional(QuotaPeriod), quota_tz: Type.Optional(QuotaZone) },
    }),
  ),
  dimensions: list(Type.Object({ name: DeclaredName })),
  measures: list(
    Type.Object({ name: DeclaredName, number: MeasureNumber, unit: Type.Optional(MeasureUnit) }),
  ),
  rules: list(RuleRow),
})

/**
 * Payload of `CatalogChanged`. Rows are complete: as they are after the change, or as they were
 * when they were retired. A row is in one list only, once.
 *
 *     {"upserted":{"provider_groups":[{"id":1,"name":"openai"}]},
 *      "ended":{"api_keys":[{"id":7,"group_id":1,"name":null,"external_id":"sk-9f"}]}}
 *
 * A token key has `quota_period` and `quota_tz` unless they are the defaults, no period and UTC. A
 * measure keeps its number forever, also while it is retired:
 *
 *     {"upserted":{"dimensions":[{"name":"model"}],
 *                  "measures":[{"name":"cost_micros","number":0,"unit":"USD/1e6"}]},"ended":{}}
 *
 * Version 1 has no external ids and no quota periods or zones. Version 2 is written only if a row
 * has one, version 3 only if there are dimensions or measures, and version 4 only if there are
 * rules, so that instances of a release before it can read all others.
 */
export const CatalogChange = Type.Object({ upserted: Rows, ended: Rows })
export type CatalogChange = Static<typeof CatalogChange>

/** Rows of a change, by table. */
export type CatalogRows = Static<typeof Rows>
export type ProviderGroupRow = { id: number; name: string | null; external_id?: string }
export type ApiKeyRow = ProviderGroupRow & { group_id: number }
export type KeyRow = NonNullable<CatalogRows['keys']>[number]
export type MeasureRow = NonNullable<CatalogRows['measures']>[number]

/** The kinds of rows. */
const KINDS = ['provider_groups', 'api_keys', 'keys', 'dimensions', 'measures', 'rules'] as const

/** Rows in each part of a change that is cut. */
const PART_ROWS = 16_384

/** Cuts a change into parts that have the same effect if they are applied in order. */
export function* cutChange(change: CatalogChange): Generator<CatalogChange, undefined> {
  for (const list of ['upserted', 'ended'] as const) {
    for (const kind of KINDS) {
      const rows = change[list][kind] ?? []
      for (let from = 0; from < rows.length; from += PART_ROWS) {
        const part = { [kind]: rows.slice(from, from + PART_ROWS) }
        yield { upserted: {}, ended: {}, [list]: part }
      }
    }
  }
}

const check = TypeCompiler.Compile(CatalogChange)

/** The version in which a change is written. */
export function versionOfChange(change: CatalogChange): number {
  if (listsOf(change).some(({ rules }) => rules)) return 4
  const declares = listsOf(change).some(({ dimensions, measures }) => dimensions ?? measures)
  if (declares) return 3
  return externalIdsOf(change).length > 0 || hasPeriods(change) ? 2 : 1
}

/**
 * Returns a reader of stored payloads of a version. It throws PayloadError if no append could have
 * written one.
 */
export const readCatalogChange = (version: number) => (payload: unknown) => {
  const change = decodeCatalogChange(payload)
  if (versionOfChange(change) <= version) return change
  throw new PayloadError(`version ${version} has no such members`)
}

function decodeCatalogChange(payload: unknown): CatalogChange {
  if (check.Check(payload)) {
    if (textsOf(payload).every(isStorable)) return payload
    throw new PayloadError('a text holds a NUL or a lone surrogate')
  }
  const error = check.Errors(payload).First()
  throw new PayloadError(`${error?.path ?? ''} ${error?.message ?? 'not a catalog change'}`.trim())
}

const listsOf = ({ upserted, ended }: CatalogChange) => [upserted, ended]

function textsOf(change: CatalogChange): string[] {
  const names = listsOf(change).flatMap(({ provider_groups = [], api_keys = [], keys = [] }) => [
    ...[...provider_groups, ...api_keys, ...keys].map(({ name }) => name ?? ''),
    ...keys.map(({ token_hash }) => token_hash),
  ])
  const units = listsOf(change).flatMap(({ measures = [] }) =>
    measures.map(({ unit = '' }) => unit),
  )
  const rules = listsOf(change).flatMap((rows) => textsOfRules(rows.rules ?? []))
  return [...names, ...externalIdsOf(change), ...units, ...rules]
}

const hasPeriods = (change: CatalogChange): boolean =>
  listsOf(change).some(({ keys = [] }) =>
    keys.some(({ quota_period, quota_tz }) => (quota_period ?? quota_tz) !== undefined),
  )

function externalIdsOf(change: CatalogChange): string[] {
  return listsOf(change).flatMap(({ provider_groups = [], api_keys = [] }) =>
    [...provider_groups, ...api_keys].flatMap(({ external_id }) => external_id ?? []),
  )
}
