import type { Adopted } from '../../bookkeeping/adoption/adoptions.ts'
import type { KeysToAdopt } from '../../bookkeeping/adoption/decide.ts'
import type { CatalogRows } from '../../events/catalog-change.ts'
import type { Catalog } from '../../log/catalog/catalog.ts'
import { type CatalogWriter, changeCatalog } from '../../log/catalog/change.ts'
import { type Conflict, mergeRows } from '../catalog/merge.ts'
import { type CatalogBody, parseCatalog } from '../catalog/model.ts'

/** The `error` of an invalid body. */
export const INVALID_ADOPTION = 'invalid adoption'

/** The `error` of an adoption of too many keys. */
export const TOO_LARGE = 'adoption too large'

/** The problem to answer with. */
type Fault = { status: 400 | 409; error: string; detail: string }

/**
 * The keys that a body names, which are in the catalog now (since the change at `position`; null if
 * there was nothing to change).
 */
export type KeysOutcome = { position: number | null; keys: KeysToAdopt } | Fault

/** The position of the change that added keys to the catalog, and their adoption. */
export type AdoptionOutcome =
  | { position: number | null; adopted: Adopted | 'too large' | null }
  | Fault

/** Parses the body of POST /admin/unknown-keys/adopt, and adds its keys to the catalog. */
export async function putKeys(
  writer: CatalogWriter,
  source: string,
  text: string,
): Promise<KeysOutcome> {
  const body = parseKeys(text)
  if (typeof body === 'string') return { status: 400, error: INVALID_ADOPTION, detail: body }
  let conflict: Conflict | null = null
  let rows: CatalogRows = {}
  const position = await changeCatalog(writer, source, (catalog) => {
    const merged = mergeRows(catalog, body)
    conflict = 'error' in merged ? merged : null
    if ('error' in merged) return null
    rows = merged
    return isThere(catalog, merged) ? null : { upserted: merged, ended: {} }
  })
  if (conflict !== null) return { status: 409, ...(conflict as Conflict) }
  const { api_keys = [], keys = [] } = rows
  return {
    position,
    keys: {
      api_keys: api_keys.map(({ id }) => id),
      keys: keys.map(({ token_hash }) => token_hash),
    },
  }
}

function parseKeys(text: string): CatalogBody | string {
  const body = parseCatalog(text)
  if (typeof body === 'string') return body
  const { api_keys = [], keys = [], ...others } = body
  const [other] = Object.keys(others)
  if (other) return `${other}: only keys can be adopted.`
  return api_keys.length + keys.length > 0 ? body : 'The body names no API key or token key.'
}

/** True if the catalog has all these rows as they are. */
function isThere(catalog: Catalog, { api_keys = [], keys = [] }: CatalogRows): boolean {
  const isSame = (row: object | undefined, merged: object) =>
    row !== undefined && Bun.deepEquals({ ...row }, { ...merged })
  return (
    api_keys.every((row) => isSame(catalog.apiKeys.get(row.id), row)) &&
    keys.every((row) => isSame(catalog.keys.get(row.token_hash), row))
  )
}
