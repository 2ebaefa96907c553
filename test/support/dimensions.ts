import type postgres from 'postgres'
import { decodeEvent, toRows } from '../../src/events/event.ts'
import type { PostedFlush } from '../../src/events/flush.ts'
import { parseFlush } from '../../src/http/flushes/model.ts'

/** An entry of a flush: one request of API key `id`, or of token key `hash`. */
export type DetailedEntry = {
  id?: number
  hash?: string
  dimensions?: Record<string, string>
  measures?: Record<string, number>
}

/** Makes a flush of API keys, or of token keys if the entries have hashes. */
export function detailedFlush(...entries: DetailedEntry[]): PostedFlush {
  const keys = entries.map(({ id = 1, hash, dimensions, measures }) => ({
    ...(hash === undefined ? { api_key_id: id } : { token_hash: hash }),
    ...{ requests: 1, dimensions, measures },
  }))
  const isOfKeys = entries.some(({ hash }) => hash !== undefined)
  const type = isOfKeys ? 'KeyStatsFlushed' : 'ApiKeyStatsFlushed'
  const posted = parseFlush(type, JSON.stringify({ keys }), false)
  if ('error' in posted) throw new Error(posted.detail)
  return posted
}

/** What an entry of the log was posted with, and what is counted: `posted` if that is the same. */
export type CountedEntry = {
  shard: number
  key: number | string
  posted: Record<string, string>
  counted: Record<string, string>
}

/** Reads the entries of all flushes, in the order of the log. */
export async function readCounted(owner: postgres.Sql): Promise<CountedEntry[]> {
  const rows = await owner<{ shard: number; type: string; version: number; payload: string }[]>`
    select e.shard, e.type, e.version, e.payload::text as payload
    from events e
    where e.type in ('ApiKeyStatsFlushed', 'KeyStatsFlushed')
    order by e.shard, e.position`
  return rows.flatMap(({ shard, type, version, payload }) =>
    toRows(decodeEvent(type, version, payload))!.map((row) => {
      const entry = row as typeof row & { api_key_id?: number; token_hash?: string }
      const posted = entry.dimensions ?? {}
      const counted = entry.counted_dimensions ?? posted
      return { shard, key: entry.api_key_id ?? entry.token_hash ?? '', posted, counted }
    }),
  )
}

/** Returns the distinct texts of some values. */
export const distinct = (values: readonly unknown[]): string[] => [
  ...new Set(values.map((value) => JSON.stringify(value))),
]
