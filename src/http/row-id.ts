import type { CatalogWriter } from '../log/catalog/change.ts'
import type { ExternalIds } from '../log/catalog/external-ids.ts'
import type { Admission, RequestContext } from './admission.ts'
import { Problem } from './problem.ts'

const PREFIX = 'ext:'

/** Returns the id that a path names; -1, which no row has, if no row has the external id. */
export const idOf = (text: string, externalIds: ExternalIds): number =>
  text.startsWith(PREFIX) ? (externalIds.idOf(text.slice(PREFIX.length)) ?? -1) : Number(text)

/**
 * Returns the id that a path names, also if another instance added the row. Throws problem 404 if
 * no row has the external id.
 */
export async function findId(
  { catalogWriter, admission }: { catalogWriter: CatalogWriter; admission: Admission },
  context: RequestContext,
  text: string,
  kind: 'providerGroups' | 'apiKeys',
): Promise<number> {
  const { catalog, refresh } = catalogWriter
  const known = idOf(text, catalog.externalIds[kind])
  if (known > 0) return known
  await admission.admitRead(context, refresh)
  const id = idOf(text, catalog.externalIds[kind])
  if (id < 0) throw new Problem(404, 'not found')
  return id
}
