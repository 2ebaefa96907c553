import { type CatalogWriter, changeCatalog } from '../../log/catalog/change.ts'
import { type Conflict, mergeRows } from './merge.ts'
import { type CatalogBody, type CatalogCounts, countRows } from './model.ts'

/** A change that was appended at `position`, or the problem to answer with. */
export type PutOutcome =
  | { position: number; counts: CatalogCounts }
  | { status: 400 | 409; error: string; detail: string }

/** Appends the change that a body asks for. */
export async function putRows(
  writer: CatalogWriter,
  source: string,
  body: CatalogBody,
): Promise<PutOutcome> {
  let conflict: Conflict | null = null
  const position = await changeCatalog(writer, source, (catalog) => {
    const upserted = mergeRows(catalog, body)
    conflict = 'error' in upserted ? upserted : null
    return 'error' in upserted ? null : { upserted, ended: {} }
  })
  if (position !== null) return { position, counts: countRows(body) }
  return { status: 409, ...conflict! }
}
