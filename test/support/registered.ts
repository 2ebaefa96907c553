import type postgres from 'postgres'
import type { CatalogRows } from '../../src/events/catalog-change.ts'
import type { KeyHint, PostedFlush } from '../../src/events/flush.ts'

/** An entry of a flush: one successful request of an API key, and how it is described. */
export type Named = { id?: number; name?: string; hint?: Partial<KeyHint> }

/** Makes a flush of API keys with one request each. */
export function flushOf(...entries: Named[]): PostedFlush {
  const requests = entries.map(() => 1)
  const names = entries.map(({ name = null }) => name)
  const columns = { ids: entries.map(({ id = 0 }) => id), requests, successes: requests }
  return {
    type: 'ApiKeyStatsFlushed',
    entries: names.every((name) => name === null) ? columns : { ...columns, names },
    hints: hintsOf(entries.map(({ hint }) => hint)),
  }
}

/** Makes a flush of token keys with one request each, which have these names if any. */
export function keyFlushOf(...entries: { hash: string; name?: string }[]): PostedFlush {
  const zeros = entries.map(() => 0)
  return {
    type: 'KeyStatsFlushed',
    entries: {
      hashes: entries.map(({ hash }) => hash),
      ...{ requests: entries.map(() => 1), tokens: zeros, last_accessed_at: zeros },
    },
    hints: hintsOf(entries.map(({ name }) => (name === undefined ? undefined : { name }))),
  }
}

function hintsOf(hints: (Partial<KeyHint> | undefined)[]): NonNullable<PostedFlush['hints']> {
  const byEntry = new Map<number, KeyHint>()
  for (const [i, hint] of hints.entries()) {
    if (hint) byEntry.set(i, { group: null, groupId: 0, name: null, ...hint })
  }
  return { byEntry, bytes: 0 }
}

/** Reads the changes by which keys were registered: their sources and the rows that they added. */
export async function readRegistrations(
  owner: postgres.Sql,
): Promise<{ source: string; rows: CatalogRows }[]> {
  const rows = await owner<{ source: string; payload: string }[]>`
    select source, payload::text as payload
    from events
    where type = 'CatalogChanged' and source like 'register:%'
    order by position`
  return rows.map(({ source, payload }) => ({ source, rows: JSON.parse(payload).upserted }))
}

/** Counts the keys that these changes have registered. */
export const countRegistered = async (owner: postgres.Sql) =>
  (await readRegistrations(owner)).reduce(
    (sum, { rows: { api_keys = [], keys = [] } }) => sum + api_keys.length + keys.length,
    0,
  )
