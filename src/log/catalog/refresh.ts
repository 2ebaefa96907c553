import type { CatalogChange } from '../../events/catalog-change.ts'
import { decodeEvent, UnknownEvent } from '../../events/event.ts'
import { TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import { recordedAt } from '../read.ts'
import { type EventPlace, payloadText } from '../visit.ts'
import type { Catalog } from './catalog.ts'

/** Reads a large change off this thread, in parts. */
export type ReadLargeChange = (place: EventPlace) => AsyncIterable<CatalogChange>

/**
 * Folds the catalog changes that are committed so far, in the order of the log. Starts from scratch
 * if the database has lost changes that were folded (a backup was restored under the service, or a
 * standby took over). Refreshes run one at a time: each begins after the one before, and sees all
 * that it saw. Without `readLarge`, large changes are read on this thread, too.
 */
export function refreshCatalog(
  sql: Sql,
  catalog: Catalog,
  readLarge: ReadLargeChange | null = null,
): Promise<void> {
  const refresh = catalog.refreshed.then(() => foldChanges(sql, catalog, readLarge))
  catalog.refreshed = refresh.catch(() => {})
  return refresh
}

async function foldChanges(
  sql: Sql,
  catalog: Catalog,
  readLarge: ReadLargeChange | null,
): Promise<void> {
  if (catalog.isIncomplete) catalog.clear()
  const { position, sha256 } = catalog
  const [row] = await sql<{ newest: string; is_same: boolean }[]>`
    select s.catalog_position as newest, ${position} = -1 or exists(
      select from events e
      where e.shard = 0 and e.position = ${position}
        and e.payload_sha256 = decode(${sha256}, 'hex')
    ) as is_same
    from shards s
    where s.shard = 0`
  const newest = Number(row!.newest)
  if (!row!.is_same || newest < position) catalog.clear()
  if (newest === catalog.position) return
  const changes = sql<ChangeRow[]>`
    select e.position, e.version, ${recordedAt(sql)}, encode(e.payload_sha256, 'hex') as sha256,
      ${payloadText(sql, readLarge !== null)} as payload
    from events e
    where e.shard = 0
      and e.type = 'CatalogChanged'
      and e.position > ${catalog.position}
    order by e.position`
  // A few at a time: a change may be as large as a request body.
  for await (const rows of changes.cursor(4)) {
    for (const { position: text, version, payload, recorded_at, sha256 } of rows) {
      const position = Number(text)
      if (payload !== null) catalog.fold(position, sha256, decodeChange(version, payload))
      else {
        const place = { shard: 0, position, recordedAt: recorded_at, payloadSha256: sha256 }
        await catalog.foldParts(position, sha256, readLarge!(place)).catch(rethrow)
      }
    }
  }
  // If the connection is lost between two fetches, the driver ends the cursor without an error.
  if (catalog.position < newest) throw new TemporarilyUnavailable('no answer')
}

type ChangeRow = {
  position: string
  version: number
  recorded_at: string
  sha256: string
  /** Null if it is large. */
  payload: string | null
}

function decodeChange(version: number, payload: string): CatalogChange {
  try {
    const event = decodeEvent('CatalogChanged', version, payload)
    if (event.type === 'CatalogChanged') return event.data
    throw new Error(`not a change: ${event.type}`)
  } catch (error) {
    return rethrow(error)
  }
}

/** Throws TemporarilyUnavailable for an event of a newer release: upgraded instances can answer. */
function rethrow(error: unknown): never {
  if (error instanceof UnknownEvent)
    throw new TemporarilyUnavailable('newer events', 60, error.message)
  throw error
}
