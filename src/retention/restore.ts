import { FLUSH_TYPES } from '../events/flush.ts'
import { isLockTimeout } from '../platform/postgres/errors.ts'
import { type Sql, transact } from '../platform/postgres/pool.ts'
import { UserError } from '../platform/user-error.ts'
import type { SegmentFailure } from '../segment-files/failure.ts'
import { CheckedFile } from '../segment-files/fetch.ts'
import { Segment } from '../segment-files/read.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import { verifySegment } from '../segment-files/verify.ts'
import { LOCK_MS } from './leave.ts'
import { insertEvents } from './load.ts'
import type { ArchivedSegment } from './registry.ts'

/** Types of events that leave the database. */
const FLUSHES: readonly string[] = FLUSH_TYPES

/** Identifies the lock of whatever exchanges tables of the log: one at a time. */
const SEGMENT_LOCK = 7_365_006

/** Attempts to exchange the tables, and the pause (ms) between two: two minutes. */
const TRIES = 600
const PAUSE_MS = 200

/** The result of a restore: the segment is in the database, or its file can't be read. */
export type Restored = { kind: 'restored' } | { kind: 'failed'; failure: SegmentFailure }

/**
 * Brings the flushes of a segment back into the database: into a separate table, which then
 * takes the place of the one without them. Killed before that, the log has not changed, and the
 * next call replaces the table. Its file stays in the archive.
 *
 * Lock: the partition and its parent, for as long as it takes to exchange two tables.
 */
export async function restoreSegment(
  owner: Sql,
  store: SegmentStore,
  { shard, first, end, fileName, fileBytes, indexSha256 }: ArchivedSegment,
  signal: AbortSignal,
): Promise<Restored> {
  const file = new CheckedFile(store, fileName)
  const expected = { shard, first, end, indexSha256, bytes: fileBytes }
  const verified = await verifySegment(file, { ...expected, signal })
  if (verified.kind === 'problem') return { kind: 'failed', failure: verified.failure }
  const segment = await Segment.open(file, expected)
  const made = await transact(owner, '', async (transaction) => {
    await transaction`select pg_advisory_xact_lock(${SEGMENT_LOCK})`
    const [row] = await transaction<{ name: string }[]>`
      select segment_table(${shard}, ${first}) as name`
    const table = row!.name
    const next = `${table}_restored`
    await transaction`select copy_segment(${table}, ${next})`
    for await (const page of segment.readPages({ after: first - 1 })) {
      signal.throwIfAborted()
      const flushes = page.filter(({ type }) => FLUSHES.includes(type))
      if (flushes.length > 0) await insertEvents(transaction, next, flushes)
    }
    await transaction`select bound_segment(${table}, ${next})`
    const [created] = await transaction<{ oid: number }[]>`
      select to_regclass(quote_ident(${next}))::oid::integer as oid`
    return { table, next, oid: created!.oid }
  })
  await exchange(owner, { shard, first, ...made }, signal)
  return { kind: 'restored' }
}

/** A table that was made for a segment, and the partition whose place it takes. */
type Made = { shard: number; first: number; table: string; next: string; oid: number }

/** Waits until no snapshot is older than the table, and for the lock only briefly each time. */
async function exchange(owner: Sql, made: Made, signal: AbortSignal): Promise<void> {
  for (let tries = 1; ; tries++) {
    signal.throwIfAborted()
    try {
      if (await attemptExchange(owner, made)) return
    } catch (error) {
      if (!isLockTimeout(error)) throw error
    }
    if (tries === TRIES) {
      throw new UserError('Nothing was restored: a transaction has been open for too long.')
    }
    await Bun.sleep(PAUSE_MS)
  }
}

async function attemptExchange(
  owner: Sql,
  { shard, first, table, next, oid }: Made,
): Promise<boolean> {
  return transact(owner, '', async (transaction) => {
    await transaction.unsafe(`set local lock_timeout = '${LOCK_MS}ms'`)
    await transaction`select pg_advisory_xact_lock(${SEGMENT_LOCK})`
    const [state] = await transaction<{ is_same: boolean; is_early: boolean }[]>`
      select
        to_regclass(quote_ident(${next}))::oid::integer is not distinct from ${oid}::integer
          as is_same,
        has_older_snapshot(${next}) as is_early`
    if (!state!.is_same) {
      throw new UserError('Nothing was restored: another process restores this segment.')
    }
    if (state!.is_early) return false
    await transaction`select exchange_segment(${table}, ${next})`
    await transaction`drop table if exists ${transaction(`${table}_next`)}`
    await transaction`
      update archived_segments a
      set leaving_at = null, left_at = null, restored_at = clock_timestamp()
      where a.shard = ${shard} and a.first_position = ${first}`
    return true
  })
}
