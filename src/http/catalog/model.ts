import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { CatalogName, ExternalId, GroupId, QuotaLimit } from '../../events/catalog-change.ts'
import { CatalogId, TokenHash } from '../../events/catalog-ids.ts'
import { isStorable } from '../../events/columns.ts'
import { findTimeZone } from '../../quota/periods.ts'
import { describeFault } from '../place.ts'
import { DimensionsBody, MeasuresBody } from './declared.ts'
import { findInRule, RulesBody } from './rules.ts'

const strict = { additionalProperties: false }
/** A field that keeps its value if it is absent or null; a new row then gets the default. */
const patchable = <Field extends TSchema>(field: Field, description: string) =>
  Type.Optional(Type.Union([field, Type.Null()], { description }))
const list = <Row extends TSchema>(row: Row) => Type.Optional(Type.Array(row))

const NAME = 'A display name; an empty string removes it'

const EXTERNAL_ID =
  'The name that a gateway uses: 1 to 255 characters without surrounding white space. Once set, ' +
  'it never changes or moves to another row'

const PERIODS = ['none', 'day', 'week', 'month']
const PERIOD =
  'How often the quota begins anew: `none`, the default, `day`, `week` (from Monday) or `month`'

/** How a row is named: by its id, its external id, or both. A new row may leave the id out. */
const named = {
  id: Type.Optional(CatalogId),
  external_id: patchable(ExternalId, EXTERNAL_ID),
}

/** The body of PUT /admin/catalog: rows to add or change. */
export const CatalogBody = Type.Object(
  {
    provider_groups: list(Type.Object({ ...named, name: patchable(CatalogName, NAME) }, strict)),
    api_keys: list(
      Type.Object(
        {
          ...named,
          group_id: patchable(GroupId, 'The provider group, which may not exist yet; 0 for none'),
          name: patchable(CatalogName, NAME),
        },
        strict,
      ),
    ),
    keys: list(
      Type.Object(
        {
          token_hash: TokenHash,
          quota_limit: patchable(QuotaLimit, 'A limit in tokens; -1, the default, is unlimited'),
          name: patchable(CatalogName, NAME),
          quota_period: patchable(
            Type.String({ pattern: '^(?:none|day|week|month)$', openapi: { enum: PERIODS } }),
            PERIOD,
          ),
          quota_tz: patchable(
            Type.String({ maxLength: 64 }),
            'The IANA time zone of the period, such as `Europe/Berlin`; default `UTC`',
          ),
        },
        strict,
      ),
    ),
    dimensions: Type.Optional(DimensionsBody),
    measures: Type.Optional(MeasuresBody),
    rules: Type.Optional(RulesBody),
  },
  { ...strict, title: 'Catalog' },
)
export type CatalogBody = Static<typeof CatalogBody>

const body = TypeCompiler.Compile(CatalogBody)

/** Parses the body. Returns a sentence that describes the first fault if it is invalid. */
export function parseCatalog(text: string): CatalogBody | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'The body is not JSON.'
  }
  if (!body.Check(value)) return describeFault(body, value)
  return findInvalid(value) ?? value
}

/** Checks what the schema can't express: texts that PostgreSQL can't store, and duplicate rows. */
const findInvalid = (catalog: CatalogBody): string | null =>
  findInRows('provider_groups', catalog.provider_groups, namesOfNamed, findInNamed) ??
  findInRows('api_keys', catalog.api_keys, namesOfNamed, findInNamed) ??
  findInRows('keys', catalog.keys, ({ token_hash }) => [token_hash], findInKey) ??
  findInRows(
    'dimensions',
    catalog.dimensions,
    ({ name }) => [name],
    () => null,
  ) ??
  findInRows('measures', catalog.measures, ({ name }) => [name], findInMeasure) ??
  findInRows('rules', catalog.rules, ({ name }) => [name], findInRule)

function findInRows<Row>(
  kind: string,
  rows: readonly Row[] = [],
  namesOf: (row: Row) => (number | string | null | undefined)[],
  find: (row: Row) => string | null,
): string | null {
  const seen = new Map<number | string, number>()
  for (const [i, row] of rows.entries()) {
    const invalid = find(row)
    if (invalid !== null) return `${kind}[${i}]${invalid}`
    for (const name of namesOf(row)) {
      if (name === undefined || name === null) continue
      const before = seen.get(name)
      if (before !== undefined) return `${kind}[${i}] repeats the row of ${kind}[${before}].`
      seen.set(name, i)
    }
  }
  return null
}

type NamedBody = NonNullable<CatalogBody['provider_groups' | 'api_keys']>[number]
type KeyBody = NonNullable<CatalogBody['keys']>[number]
type MeasureBody = NonNullable<CatalogBody['measures']>[number]

const namesOfNamed = ({ id, external_id }: NamedBody) => [id, external_id]

function findInNamed({ id, external_id, name }: NamedBody): string | null {
  if (name && !isStorable(name)) return `.name ${UNSTORABLE}`
  if (external_id && !isStorable(external_id)) return `.external_id ${UNSTORABLE}`
  return id === undefined && !external_id ? ' has neither id nor external_id.' : null
}

function findInKey({ token_hash, name, quota_tz }: KeyBody): string | null {
  if (name && !isStorable(name)) return `.name ${UNSTORABLE}`
  if (!isStorable(token_hash)) return `.token_hash ${UNSTORABLE}`
  if (token_hash.trim() !== token_hash) return '.token_hash has leading or trailing white space.'
  const zone = quota_tz ?? null
  const isUnknown = zone !== null && findTimeZone(zone) === null
  return isUnknown ? '.quota_tz is not a time zone of the IANA database.' : null
}

const findInMeasure = ({ unit }: MeasureBody) =>
  unit && !isStorable(unit) ? `.unit ${UNSTORABLE}` : null

/** The `error` of a body that `parseCatalog` refuses. */
export const INVALID_CATALOG = 'invalid catalog'

const UNSTORABLE = 'contains a NUL or a lone surrogate.'

/** The number of rows of each kind; of declarations and rules only if the body has such lists. */
export type CatalogCounts = {
  provider_groups: number
  api_keys: number
  keys: number
  dimensions?: number
  measures?: number
  rules?: number
}

/** Counts the rows of a body. */
export const countRows = (body: CatalogBody): CatalogCounts => ({
  provider_groups: body.provider_groups?.length ?? 0,
  api_keys: body.api_keys?.length ?? 0,
  keys: body.keys?.length ?? 0,
  ...(body.dimensions && { dimensions: body.dimensions.length }),
  ...(body.measures && { measures: body.measures.length }),
  ...(body.rules && { rules: body.rules.length }),
})
