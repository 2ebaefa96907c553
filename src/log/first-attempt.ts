import { decodeEvent, type Event } from '../events/event.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { findKey, findKeys } from './find-keys.ts'
import { type Lookups, type PendingFlush, replayOutcome } from './queue.ts'
import { readEvent } from './read.ts'

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
  const position = await findKey(sql, shard, source, idempotencyKey)
  if (position === null) return null
  return { position, event: await readStored(sql, shard, position) }
}

/** Returns those of a shard's flushes whose first attempt is in the log. */
export async function findAppended(
  sql: Sql,
  shard: number,
  flushes: readonly PendingFlush[],
): Promise<Set<PendingFlush>> {
  const keyed = flushes.flatMap((flush) => {
    const { source, idempotencyKey } = flush
    return idempotencyKey === null ? [] : [{ flush, source, idempotencyKey }]
  })
  const found = await findKeys(sql, shard, keyed)
  return new Set([...found.keys()].map((i) => keyed[i]!.flush))
}

type Place = { sql: Sql; shard: number; catalog: Lookups }

/** Answers each by the event with its idempotency key; one at a time, as events may be large. */
export async function settleReplayed(
  { sql, shard, catalog }: Place,
  replayed: ReadonlyMap<PendingFlush, number>,
): Promise<void> {
  for (const [flush, position] of replayed) {
    const event = await readStored(sql, shard, position)
    flush.settle(replayOutcome({ shard, position, event }, flush.posted, catalog))
  }
}

async function readStored(sql: Sql, shard: number, position: number): Promise<Event> {
  const event = await readEvent(sql, shard, position)
  return decodeEvent(event!.type, event!.version, event!.payload)
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
