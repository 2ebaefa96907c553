import type { Sql } from '../db/pool.ts'
import { decodeEvent } from '../events/event.ts'
import type { Catalog } from './catalog.ts'

/** Folds the catalog changes that were committed since, in the order of the log. */
export async function refreshCatalog(sql: Sql, catalog: Catalog): Promise<void> {
  const changes = sql<{ position: string; version: number; payload: string }[]>`
    select e.position, e.version, e.payload::text as payload
    from events e
    where e.shard = 0
      and e.type = 'CatalogChanged'
      and e.position > ${catalog.position}
    order by e.position`
  for await (const rows of changes.cursor(100)) {
    for (const { position, version, payload } of rows) {
      const event = decodeEvent('CatalogChanged', version, payload)
      if (event.type === 'CatalogChanged') catalog.fold(Number(position), event.change)
    }
  }
}
