import type { CatalogChange } from '../../events/catalog-change.ts'
import { hashPayload, versionOf } from '../../events/event.ts'
import { ownClock } from '../../platform/postgres/clock.ts'
import { isOvertaken, TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import type { Catalog } from './catalog.ts'

/** Decides on a change by the current catalog. Returns null if there is nothing to change. */
export type DecideChange = (catalog: Catalog) => CatalogChange | null

/** The catalog to change, and its database. `refresh` must update it (see `refreshCatalog`). */
export type CatalogWriter = { sql: Sql; catalog: Catalog; refresh: () => Promise<void> }

/** Attempts at a change that others overtake, and the pause (ms) between two attempts. */
const TRIES = 400
const RETRY_MS = 5

/**
 * Appends a CatalogChanged to shard 0 and returns its position, or null if `decide` found nothing
 * to change. After it returns, every later flush on any instance is attributed with the change.
 *
 * If another instance changes the catalog first, that change is folded and `decide` is called
 * again. One instance succeeds each time. Throws TemporarilyUnavailable if this one never does.
 */
export async function changeCatalog(
  { sql, catalog, refresh }: CatalogWriter,
  source: string,
  decide: DecideChange,
): Promise<number | null> {
  for (let tries = 0; tries < TRIES; tries++) {
    const { position: before, sha256 } = catalog
    const change = decide(catalog)
    const position = change === null ? null : await append(sql, { before, sha256 }, source, change)
    await refresh()
    if (position !== null) return position
    if (catalog.position !== before || catalog.sha256 !== sha256) continue
    // Not overtaken: there is nothing to change, or the other instance's change isn't visible yet.
    if (change === null) return null
    await Bun.sleep(RETRY_MS)
  }
  throw new TemporarilyUnavailable('catalog busy')
}

/**
 * Returns null if the catalog has moved on from `before`, or has another change there. While shard
 * 0 moves, only its new location may have that change (see `append_batch`): null then, too.
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
      ${versionOf({ type: 'CatalogChanged', data: change })},
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
