import { isLockTimeout } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { LEAVING_MS } from './registry.ts'

/** How long (ms) the exchange of a segment may wait for a lock, behind which flushes wait. */
export const LOCK_MS = 100

/** Marks a segment of the archive: reads take its events from there. */
export async function markLeaving(owner: Sql, shard: number, first: number): Promise<void> {
  await owner`select mark_leaving(${shard}, ${first})`
}

/**
 * Takes the mark of a segment away that has not left: reads find its events in the database again.
 * `leave_segment` at the same time fails, or this changes nothing.
 */
export async function unmarkLeaving(owner: Sql, shard: number, first: number): Promise<void> {
  await owner`
    update archived_segments a
    set leaving_at = null
    where a.shard = ${shard} and a.first_position = ${first} and a.left_at is null`
}

/**
 * Takes the flushes of a segment out of the database, if it was marked for long enough. Returns
 * false if that can't be done now: try again later.
 */
export async function leaveSegment(
  owner: Sql,
  shard: number,
  first: number,
  leavingMs = LEAVING_MS,
): Promise<boolean> {
  try {
    return await owner.begin(async (transaction) => {
      await transaction.unsafe(`set local lock_timeout = '${LOCK_MS}ms'`)
      const [row] = await transaction<{ has_left: boolean }[]>`
        select leave_segment(a.shard, a.first_position) as has_left
        from archived_segments a
        where a.shard = ${shard} and a.first_position = ${first}
          and a.leaving_at <= clock_timestamp() - make_interval(secs => ${leavingMs / 1_000})`
      return row?.has_left ?? false
    })
  } catch (error) {
    if (isLockTimeout(error)) return false
    throw error
  }
}
