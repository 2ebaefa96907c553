import type { CatalogChange } from '../../events/catalog-change.ts'
import type { DigestValue } from '../../events/digest.ts'

/** The tables of the catalog. */
export type CatalogTable = 'provider_groups' | 'api_keys' | 'keys'

/** Sets the rows that a change names: the values after the key column of each table. */
export function changeCatalog(
  { provider_groups, api_keys, keys }: Record<CatalogTable, Map<number | string, DigestValue[]>>,
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
  }
}
