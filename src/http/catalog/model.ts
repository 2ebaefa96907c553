import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import {
  CatalogId,
  CatalogName,
  type CatalogRows,
  GroupId,
  QuotaLimit,
  TokenHash,
} from '../../events/catalog-change.ts'
import { isStorable } from '../../events/columns.ts'
import type { Catalog } from '../../log/catalog/catalog.ts'
import { placeOf } from '../place.ts'

const strict = { additionalProperties: false }
/** A field that keeps its value if it is absent or null; a new row then gets the default. */
const patchable = <Field extends TSchema>(field: Field, description: string) =>
  Type.Optional(Type.Union([field, Type.Null()], { description }))
const list = <Row extends TSchema>(row: Row) => Type.Optional(Type.Array(row))

const NAME = 'A display name; an empty string removes it'

/** The body of PUT /admin/catalog: rows to add or change. */
export const CatalogBody = Type.Object(
  {
    provider_groups: list(
      Type.Object({ id: CatalogId, name: patchable(CatalogName, NAME) }, strict),
    ),
    api_keys: list(
      Type.Object(
        {
          id: CatalogId,
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
        },
        strict,
      ),
    ),
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
  if (!body.Check(value)) {
    const error = body.Errors(value).First()
    return `${placeOf(error?.path ?? '')}: ${error?.message}.`
  }
  return findInvalid(value) ?? value
}

/** Checks what the schema can't express: texts that PostgreSQL can't store, and duplicate rows. */
function findInvalid(catalog: CatalogBody): string | null {
  for (const kind of ['provider_groups', 'api_keys', 'keys'] as const) {
    const seen = new Map<number | string, number>()
    for (const [i, row] of (catalog[kind] ?? []).entries()) {
      const place = `${kind}[${i}]`
      if (row.name && !isStorable(row.name)) return `${place}.name ${UNSTORABLE}`
      const id = 'id' in row ? row.id : row.token_hash
      if (typeof id === 'string') {
        if (!isStorable(id)) return `${place}.token_hash ${UNSTORABLE}`
        if (id.trim() !== id) return `${place}.token_hash has leading or trailing white space.`
      }
      const before = seen.get(id)
      if (before !== undefined) return `${place} repeats the row of ${kind}[${before}].`
      seen.set(id, i)
    }
  }
  return null
}

/** The `error` of a body that `parseCatalog` refuses. */
export const INVALID_CATALOG = 'invalid catalog'

const UNSTORABLE = 'contains a NUL or a lone surrogate.'

/** The number of rows of each kind. */
export type CatalogCounts = { provider_groups: number; api_keys: number; keys: number }

/** Counts the rows of a body. */
export const countRows = ({ provider_groups, api_keys, keys }: CatalogBody): CatalogCounts => ({
  provider_groups: provider_groups?.length ?? 0,
  api_keys: api_keys?.length ?? 0,
  keys: keys?.length ?? 0,
})

/** Returns the complete rows after an upsert into the current catalog. */
export function mergeRows(catalog: Catalog, { provider_groups, api_keys, keys }: CatalogBody) {
  const rows: CatalogRows = {}
  if (provider_groups) {
    rows.provider_groups = provider_groups.map(({ id, name }) => ({
      id,
      name: mergeName(name, catalog.providerGroups.get(id)),
    }))
  }
  if (api_keys) {
    rows.api_keys = api_keys.map(({ id, group_id, name }) => {
      const row = catalog.apiKeys.get(id)
      return { id, group_id: group_id ?? row?.group_id ?? 0, name: mergeName(name, row) }
    })
  }
  if (keys) {
    rows.keys = keys.map(({ token_hash, quota_limit, name }) => {
      const row = catalog.keys.get(token_hash)
      const limit = quota_limit ?? row?.quota_limit ?? -1
      return { token_hash, quota_limit: limit, name: mergeName(name, row) }
    })
  }
  return rows
}

/** Returns the new name: an empty one removes it, an absent one keeps the current. */
function mergeName(name: string | null | undefined, row: { name: string | null } | undefined) {
  if (name === '') return null
  return name ?? row?.name ?? null
}
