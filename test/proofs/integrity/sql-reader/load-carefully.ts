import { PayloadError } from '../../../../src/events/columns.ts'
import { decodeEvent } from '../../../../src/events/event.ts'
import type { Transaction } from '../../../../src/platform/postgres/pool.ts'
import type { Chunk } from '../../../../src/proofs/integrity/chunk.ts'
import type { Problem } from '../../../../src/proofs/integrity/problem.ts'
import { LATEST_ACCESS } from './load.ts'

/**
 * The events to read: the flushes of a chunk that the casts refused; all other events, such as
 * flushes with names or packed columns, which no cast reads; or both.
 */
export type Kind = 'flushes' | 'others' | 'all'

/** Replaces the contents of `chunk_events` with these events of the chunk. */
export async function copyEvents(
  sql: Transaction,
  { shard, after, through }: Chunk,
  kind: Kind,
): Promise<void> {
  await sql`delete from chunk_events`
  await sql`
    insert into chunk_events
    select e.position, e.type, e.version, e.recorded_at, e.payload
    from events e
    where e.shard = ${shard} and e.position > ${after} and e.position <= ${through}
      and (${kind}::text = 'all' or ${kind === 'flushes'} = (
        e.type in ('ApiKeyStatsFlushed', 'KeyStatsFlushed')
        and e.version in (1, 2)
        and (e.type, e.version) <> ('KeyStatsFlushed', 2)
      ))`
}

/** Fills the chunk tables from the copied flushes, value by value, without unreadable ones. */
export async function loadFlushesByValue(sql: Transaction): Promise<void> {
  await sql`
    insert into chunk_api_keys
    select
      pg_temp.quarter_of(e.type, e.version::integer, e.payload, e.recorded_at),
      f.group_id, f.api_key_id,
      sum(f.requests), sum(case when f.requests = 0 then 0 else f.successes end), false
    from chunk_events e
      cross join lateral pg_temp.read_api_key_entries(e.version::integer, e.payload) f
    where e.type = 'ApiKeyStatsFlushed'
      and case when e.type = 'ApiKeyStatsFlushed'
        then pg_temp.is_readable(e.type, e.version::integer, e.payload) end
    group by 1, f.group_id, f.api_key_id`
  await sql`
    insert into chunk_keys
    select
      pg_temp.quarter_of(e.type, e.version::integer, e.payload, e.recorded_at), f.token_hash,
      sum(f.requests), sum(f.tokens), coalesce(sum(f.tokens) filter (where f.is_tracked), 0),
      max(least(f.last_accessed_at, ${sql.unsafe(LATEST_ACCESS)})), false
    from chunk_events e
      cross join lateral pg_temp.read_key_entries(e.version::integer, e.payload) f
    where e.type = 'KeyStatsFlushed'
      and case when e.type = 'KeyStatsFlushed'
        then pg_temp.is_readable(e.type, e.version::integer, e.payload) end
      and f.is_tracked is not null
      and (f.requests > 0 or f.tokens > 0 or f.last_accessed_at > 0)
    group by 1, f.token_hash`
}

/** Fills `chunk_catalog` with the rows of the copied catalog changes. */
export async function loadCatalog(sql: Transaction): Promise<void> {
  await sql`
    insert into chunk_catalog
    select e.position, e.recorded_at, c.*
    from chunk_events e
      cross join lateral pg_temp.read_catalog_change(e.version::integer, e.payload) c
    where e.type = 'CatalogChanged'
      and case when e.type = 'CatalogChanged'
        then pg_temp.is_readable(e.type, e.version::integer, e.payload) end`
}

/**
 * Records the copied events that can't be read, with the reason that the service states. Only the
 * text of the reason comes from the service: the SQL reader decides whether an event can be read,
 * and returns a problem if the service disagrees.
 */
export async function noteUnreadable(sql: Transaction, shard: number): Promise<Problem[]> {
  const rows = await sql<{ position: string }[]>`
    select e.position
    from chunk_events e
    where not pg_temp.is_readable(e.type, e.version::integer, e.payload)
    order by e.position`
  const problems: Problem[] = []
  for (const { position } of rows) {
    const reason = await readReason(sql, shard, position)
    await sql`
      insert into unreadable (shard, position, reason) values (${shard}, ${position}, ${reason})
      on conflict (shard, position) do nothing`
    if (reason !== null) continue
    problems.push({
      check: 'parked',
      at: `${shard}/${position}`,
      expected: 'a payload that an append could have written',
      found: 'one that only the service can read',
    })
  }
  return problems
}

/** Returns the reason why the service can't read an event; null if it can. */
async function readReason(
  sql: Transaction,
  shard: number,
  position: string,
): Promise<string | null> {
  const [row] = await sql<{ type: string; version: number; payload: string }[]>`
    select e.type, e.version, e.payload::text as payload
    from events e
    where e.shard = ${shard} and e.position = ${position}`
  try {
    decodeEvent(row!.type, row!.version, row!.payload)
    return null
  } catch (error) {
    if (error instanceof PayloadError) return error.message
    throw error
  }
}
