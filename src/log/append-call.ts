import { versionOf } from '../events/event.ts'
import { ownClock } from '../platform/postgres/clock.ts'
import { type Sql, transact } from '../platform/postgres/pool.ts'
import { retryOvertaken } from './overtaken.ts'
import type { PendingFlush } from './queue.ts'

/** The result of appending a batch. */
export type AppendResult =
  /** The catalog was stale and nothing was appended. */
  | { firstPosition: null }
  | {
      firstPosition: number
      recordedAt: string
      /** The flushes (numbered from 1) whose idempotency key is already in the log, and where. */
      replayed: { ordinal: number; position: number }[]
      /** The identity of the event before the batch; null if there is none. */
      previous: string | null
    }

/**
 * Nothing was appended: the hashes of idempotency keys were found, but their events have left the
 * database. They have to be read in the archive, and compared.
 */
export class UnconfirmedKeys extends Error {
  override name = 'UnconfirmedKeys'

  /** The positions of events for each flush, numbered from 1. */
  constructor(readonly hits: ReadonlyMap<number, number[]>) {
    super('idempotency keys have to be compared with events of the archive')
  }
}

/**
 * Appends a batch that was attributed with this catalog, in one commit and one round trip per
 * attempt. Throws UnconfirmedKeys.
 */
export function callAppendBatch(
  sql: Sql,
  shard: number,
  batch: readonly PendingFlush[],
  { position, sha256 }: { position: number; sha256: string | null },
): Promise<AppendResult> {
  const hasDiffering = batch.some((flush) => flush.differing.length > 0)
  const lines = (line: (flush: PendingFlush) => string | number) => batch.map(line).join('\n')
  return retryOvertaken(async () => {
    const rows = sql<AppendRow[]>`
      select
        first_position, recorded_at, replayed_ordinals::text, replayed_positions::text, previous
      from append_batch(
        ${shard}::integer,
        ${position}::bigint,
        ${lines((flush) => flush.attributed.type)}::text,
        ${lines((flush) => versionOf(flush.attributed))}::text,
        ${lines((flush) => flush.source)}::text,
        ${lines((flush) => flush.idempotencyKey ?? '')}::text,
        ${lines((flush) => flush.payload)}::text,
        ${lines((flush) => flush.payloadSha256)}::text,
        ${sha256}::text,
        ${ownClock(sql)},
        ${hasDiffering ? lines((flush) => flush.differing.join(' ')) : ''}::text
      )`
    const [row] = await rows.catch(throwUnconfirmed)
    return toResult(row!)
  })
}

/** The detail lists flushes and positions: `3 17,5 99`. */
function throwUnconfirmed(error: unknown): never {
  const { code, detail } = error as { code?: string; detail?: string }
  if (code !== 'TB003' || detail === undefined) throw error
  const hits = new Map<number, number[]>()
  for (const hit of detail.split(',')) {
    const [ordinal, position] = hit.split(' ').map(Number)
    hits.set(ordinal!, [...(hits.get(ordinal!) ?? []), position!])
  }
  throw new UnconfirmedKeys(hits)
}

/** Does everything that an append does, except commit. Rejects if an append would fail. */
export async function probeAppend(sql: Sql, shard: number): Promise<void> {
  const undone = new Error('undone')
  const probing = transact(sql, '', async (transaction) => {
    await transaction`select from shards s where s.shard = ${shard} for update`
    await transaction`
      insert into events (
        shard, position, type, version, recorded_at, source, payload, payload_sha256
      )
      select ${shard}::integer, coalesce(max(e.position), -1) + 1, 'Probed', 1,
        greatest(max(e.recorded_at), clock_timestamp()), 'tallybook', '{}', sha256('{}')
      from events e
      where e.shard = ${shard}`
    throw undone
  })
  await probing.catch((error: unknown) => {
    if (error !== undone) throw error
  })
}

type AppendRow = {
  first_position: string | null
  recorded_at: string | null
  replayed_ordinals: string
  replayed_positions: string
  previous: string | null
}

function toResult(row: AppendRow): AppendResult {
  if (row.first_position === null) return { firstPosition: null }
  const positions = readArray(row.replayed_positions)
  return {
    firstPosition: Number(row.first_position),
    recordedAt: row.recorded_at!,
    replayed: readArray(row.replayed_ordinals).map((ordinal, i) => ({
      ordinal,
      position: positions[i]!,
    })),
    previous: row.previous,
  }
}

/** Parses `{1,2}`, an array of numbers as PostgreSQL prints it. */
function readArray(text: string): number[] {
  return text === '{}' ? [] : text.slice(1, -1).split(',').map(Number)
}
