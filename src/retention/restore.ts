import type { StoredEvent } from '../events/event.ts'
import { isLockTimeout } from '../platform/postgres/errors.ts'
import { type Sql, type Transaction, transact } from '../platform/postgres/pool.ts'
import type { SegmentFailure } from '../segment-files/failure.ts'
import { CheckedFile } from '../segment-files/fetch.ts'
import { Segment } from '../segment-files/read.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import { verifySegment } from '../segment-files/verify.ts'
import { LOCK_MS } from './leave.ts'
import { insertEvents } from './load.ts'
import type { ArchivedSegment } from './registry.ts'

/** Types of events that leave the database. */
const FLUSHES: readonly string[] = ['ApiKeyStatsFlushed', 'KeyStatsFlushed']

/** Attempts to exchange the tables, and the pause (ms) between two. */
const TRIES = 100
const PAUSE_MS = 200

/** The result of a restore: the segment is in the database, or its file can't be read. */
export type Restored = { kind: 'restored' } | { kind: 'failed'; failure: SegmentFailure }

/**
 * Brings the flushes of a segment back into the database, in one transaction: killed before its
 * end, nothing has changed. Its file stays in the archive.
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
  await transact(owner, '', async (transaction) => {
    // One at a time with what takes segments out.
    await transaction`select pg_advisory_xact_lock(7365006)`
    const [row] = await transaction<{ name: string }[]>`
      select segment_table(${shard}, ${first}) as name`
    const table = row!.name
    await transaction`select copy_segment(${table})`
    for await (const page of segment.readPages({ after: first - 1 })) {
      signal.throwIfAborted()
      const flushes = page.filter(({ type }) => FLUSHES.includes(type))
      await insertFlushes(transaction, `${table}_next`, flushes)
    }
    await transaction`select bound_segment(${table})`
    await exchange(transaction, table)
    await transaction`
      update archived_segments a
      set leaving_at = null, left_at = null, restored_at = clock_timestamp()
      where a.shard = ${shard} and a.first_position = ${first}`
  })
  return { kind: 'restored' }
}

async function insertFlushes(
  transaction: Transaction,
  table: string,
  flushes: readonly StoredEvent[],
): Promise<void> {
  if (flushes.length > 0) await insertEvents(transaction, table, flushes)
}

/** Waits for the lock only briefly each time, because flushes wait behind it. */
async function exchange(transaction: Transaction, table: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await transaction.savepoint(async (attempt) => {
        await attempt.unsafe(`set local lock_timeout = '${LOCK_MS}ms'`)
        await attempt`select exchange_segment(${table})`
      })
      return
    } catch (error) {
      if (!isLockTimeout(error) || tries === TRIES) throw error
      await Bun.sleep(PAUSE_MS)
    }
  }
}
