import type { CatalogChange } from '../../events/catalog-change.ts'
import { EVENT_TYPES, hashPayload } from '../../events/event.ts'
import { ownClock } from '../../platform/postgres/clock.ts'
import { isOvertaken, TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import type { Catalog } from './catalog.ts'
import { refreshCatalog } from './refresh.ts'

/** Decides on a change by the catalog as it stands; null where there is nothing to change. */
export type DecideChange = (catalog: Catalog) => CatalogChange | null

/** How often a change is tried that others overtake, and the milliseconds between two tries. */
const TRIES = 400
const RETRY_MS = 5

/**
 * Appends a CatalogChanged to shard 0 and gives its position, or null where `decide` found nothing
 * to change. When it returns, every later flush on any instance is resolved with the change.
 *
 * If another instance has changed the catalog meanwhile, its change is folded first and `decide` is
 * called again; one instance succeeds each time. Throws TemporarilyUnavailable if this one never
 * does.
 */
export async function changeCatalog(
  sql: Sql,
  catalog: Catalog,
  source: string,
  decide: DecideChange,
): Promise<number | null> {
  for (let tries = 0; tries < TRIES; tries++) {
    const { position: before, sha256 } = catalog
    const change = decide(catalog)
    const position = change === null ? null : await append(sql, { before, sha256 }, source, change)
    await refreshCatalog(sql, catalog)
    if (position !== null) return position
    if (catalog.position !== before || catalog.sha256 !== sha256) continue
    // Nothing was overtaken: there is nothing to change, or the other's change can't be seen yet.
    if (change === null) return null
    await Bun.sleep(RETRY_MS)
  }
  throw new TemporarilyUnavailable('catalog busy')
}

/**
 * Null where the catalog has moved on from `before`, or had another change there; also where only
 * the new place of shard 0, which moves, knows of that (see `append_batch`).
 */
async function append(
  sql: Sql,
  { before, sha256 }: { before: number; sha256: string | null },
  source: string,
  change: CatalogChange,
): Promise<number | null> {
  const payload = JSON.stringify(change)
  const rows = sql<{ position: string | null }[]>`
    select position
    from append_catalog_change(
      ${before},
      ${EVENT_TYPES.CatalogChanged.version},
      ${source},
      ${payload},
      ${hashPayload(payload)},
      ${sha256},
      ${ownClock(sql)}
    )`
  const [row] = await rows.catch((error: unknown) => {
    if (isOvertaken(error)) return [{ position: null }]
    throw error
  })
  return row!.position === null ? null : Number(row!.position)
}
