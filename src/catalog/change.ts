import type { Sql } from '../db/pool.ts'
import type { CatalogChange } from '../events/catalog-change.ts'
import { CURRENT_VERSIONS, hashPayload } from '../events/event.ts'
import type { Catalog } from './catalog.ts'
import { refreshCatalog } from './refresh.ts'

/** Decides on a change by the catalog as it stands; null where there is nothing to change. */
export type DecideChange = (catalog: Catalog) => CatalogChange | null

/**
 * Appends a CatalogChanged to shard 0 and gives its position, or null where `decide` found nothing
 * to change. When it returns, every later flush on any instance is resolved with the change.
 *
 * A change that another instance made meanwhile is folded first and `decide` asked again: each turn
 * some instance gets its change in, so this ends.
 */
export async function changeCatalog(
  sql: Sql,
  catalog: Catalog,
  source: string,
  decide: DecideChange,
): Promise<number | null> {
  for (;;) {
    const change = decide(catalog)
    if (change === null && (await isCurrent(sql, catalog))) return null
    if (change !== null) {
      const payload = JSON.stringify(change)
      const [row] = await sql<{ position: string | null }[]>`
        select position
        from append_catalog_change(
          ${catalog.position},
          ${CURRENT_VERSIONS.CatalogChanged},
          ${source},
          ${payload},
          ${hashPayload(payload)}
        )`
      if (row!.position !== null) {
        await refreshCatalog(sql, catalog)
        return Number(row!.position)
      }
    }
    await refreshCatalog(sql, catalog)
  }
}

/** False where the log holds a change that this catalog has not folded. */
async function isCurrent(sql: Sql, catalog: Catalog): Promise<boolean> {
  const [row] = await sql`select catalog_position from shards where shard = 0`
  return Number(row!.catalog_position) === catalog.position
}
