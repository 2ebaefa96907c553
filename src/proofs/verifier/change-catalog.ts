import type { CatalogChange } from '../../events/catalog-change.ts'
import type { DigestValue } from '../../events/digest.ts'

/** The tables of the catalog whose rows are counted. */
export type CatalogTable = 'provider_groups' | 'api_keys' | 'keys'

/** The other tables of the catalog. */
export type DeclaredTable = 'dimensions' | 'measures'

/** The rows of the catalog by their keys: the values after the key column of each table. */
export type CatalogRows = Record<CatalogTable | DeclaredTable, Map<number | string, DigestValue[]>>

/** Sets the rows that a change names: the values after the key column of each table. */
export function changeCatalog(
  { provider_groups, api_keys, keys, dimensions, measures }: CatalogRows,
  { upserted, ended }: CatalogChange,
  recordedAt: string,
): void {
  for (const [rows, endedAt] of [[upserted, null] as const, [ended, recordedAt] as const]) {
    for (const { id, name, external_id } of rows.provider_groups ?? []) {
      provider_groups.set(id, [name, endedAt, external_id ?? null])
    }
    for (const { id, group_id, name, external_id } of rows.api_keys ?? []) {
      api_keys.set(id, [group_id, name, endedAt, external_id ?? null])
    }
    for (const { token_hash, quota_limit, name, quota_period, quota_tz } of rows.keys ?? []) {
      const period = [quota_period ?? null, quota_tz ?? null]
      keys.set(token_hash, [quota_limit, name, endedAt, ...period])
    }
    for (const { name } of rows.dimensions ?? []) dimensions.set(name, [endedAt])
    for (const { name, number, unit } of rows.measures ?? []) {
      measures.set(name, [number, endedAt, unit ?? null])
    }
  }
}
