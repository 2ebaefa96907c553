import { decodeEvent, type Event } from '../events/event.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { type Lookups, type PendingFlush, replayOutcome } from './queue.ts'

/**
 * Returns the event with an idempotency key of `source` and its position, or null if a shard has
 * none. Throws UnknownEvent if a newer release appended it.
 */
export async function readFirstAttempt(
  sql: Sql,
  shard: number,
  source: string,
  idempotencyKey: string | null,
): Promise<{ position: number; event: Event } | null> {
  if (idempotencyKey === null) return null
  const [row] = await sql<{ position: string; type: string; version: number; payload: string }[]>`
    select e.position, e.type, e.version, e.payload::text as payload
    from events e
    where e.shard = ${shard} and e.source = ${source} and e.idempotency_key = ${idempotencyKey}`
  if (!row) return null
  const event = decodeEvent(row.type, row.version, row.payload)
  return { position: Number(row.position), event }
}

/** Returns those of a shard's flushes whose first attempt is in the log. */
export async function findAppended(
  sql: Sql,
  shard: number,
  flushes: readonly PendingFlush[],
): Promise<Set<PendingFlush>> {
  const keyed = flushes.filter(({ idempotencyKey }) => idempotencyKey !== null)
  if (keyed.length === 0) return new Set()
  // No source or key contains a newline.
  const rows = await sql<{ ordinal: number }[]>`
    select f.ordinal::integer as ordinal
    from rows from (
        string_to_table(${keyed.map(({ source }) => source).join('\n')}, e'\n'),
        string_to_table(${keyed.map((flush) => flush.idempotencyKey).join('\n')}, e'\n')
      ) with ordinality as f(source, idempotency_key, ordinal)
      join events e on e.shard = ${shard}
        and e.source = f.source
        and e.idempotency_key = f.idempotency_key`
  return new Set(rows.map(({ ordinal }) => keyed[ordinal - 1]!))
}

type Place = { sql: Sql; shard: number; catalog: Lookups }

/** Answers each by the event with its idempotency key; one at a time, as events may be large. */
export async function settleReplayed(
  { sql, shard, catalog }: Place,
  replayed: ReadonlyMap<PendingFlush, number>,
): Promise<void> {
  for (const [flush, position] of replayed) {
    const [row] = await sql<{ type: string; version: number; payload: string }[]>`
      select e.type, e.version, e.payload::text as payload
      from events e
      where e.shard = ${shard} and e.position = ${position}`
    const event = decodeEvent(row!.type, row!.version, row!.payload)
    flush.settle(replayOutcome({ shard, position, event }, flush.posted, catalog))
  }
}

/**
 * Refuses each flush that does not fit the current catalog, or whose time is out of range, unless
 * an attempt was appended before: it is answered by that. No attempt can be appended any more.
 */
export async function settleRefused(
  { sql, shard, catalog }: Place,
  refused: readonly PendingFlush[],
): Promise<void> {
  for (const flush of refused) {
    const first = await readFirstAttempt(sql, shard, flush.source, flush.idempotencyKey)
    if (first === null) flush.settle(flush.refusal!)
    else flush.settle(replayOutcome({ shard, ...first }, flush.posted, catalog))
  }
}
