import type { StoredEvent } from '../events/event.ts'
import { TemporarilyUnavailable } from '../platform/postgres/errors.ts'
import { poolOf, type Sql, type Transaction } from '../platform/postgres/pool.ts'

/** Positions of a shard, from `first` to `end`, exclusive. */
export type Span = { first: number; end: number }

/** Events of one shard after `after` and through `through`. */
export type Stretch = { shard: number; after: number; through: number }

/** A part of the log that can be read with one statement, after `after` and through `through`. */
export type Window = Omit<Stretch, 'shard'> & {
  /** Its events in the order of the read, if they have left the database; null if it has them. */
  events: readonly StoredEvent[] | null
  /**
   * Runs `read` on a connection whose `events` has the events of the window. If they have left the
   * database, they are loaded for that, which takes longer than to read `events`.
   */
  read<Value>(read: (sql: Sql | Transaction) => Promise<Value>): Promise<Value>
}

/**
 * The flushes that have left the database. The core knows only which spans they were in, and that
 * their events can be had, or loaded into a connection's `events`.
 */
export type EventArchive = {
  /** Returns the spans of a shard whose events are elsewhere, in order. */
  spans(shard: number): Promise<readonly Span[]>
  /**
   * Opens the beginning of a stretch within one span, or with `newestFirst` its end: of so many
   * events or fewer. Throws ArchiveUnavailable if they can't be read now.
   */
  open(stretch: Stretch, maxEvents: number, newestFirst: boolean): Promise<Window>
  /**
   * Returns the first position of a span recorded at `at` or later; its end if there is none. The
   * time is formatted as by `toRecordedAt`.
   */
  positionAt(shard: number, span: Span, at: string): Promise<number>
  /** Asks the database if an event has left it by now. */
  hasLeft(shard: number, position: number): Promise<boolean>
}

/** A read needs the archive, and can't be answered without it now. */
export class ArchiveUnavailable extends TemporarilyUnavailable {
  override name = 'ArchiveUnavailable'

  constructor(detail?: string) {
    super('archive unavailable', 10, detail)
  }
}

const archives = new WeakMap<Sql, EventArchive>()

/** Makes reads of the log on these pools, and in their transactions, find what has left it. */
export function useArchive(pools: Iterable<Sql>, archive: EventArchive): void {
  for (const pool of pools) archives.set(pool, archive)
}

/** Makes reads on a replica's pool find what has left the log, as those on the primary's do. */
export function shareArchive(primary: Sql, replica: Sql): void {
  const archive = archives.get(primary)
  if (archive !== undefined) archives.set(replica, archive)
}

/** Returns what `useArchive` was given for a pool or a transaction of one; null if nothing. */
export const archiveOf = (sql: Sql | Transaction): EventArchive | null =>
  archives.get(poolOf(sql)) ?? null

/**
 * Opens the window at the beginning of a stretch, or with `newestFirst` at its end. It has all of
 * the stretch if that is in the database, and some `maxEvents` events at most if it is not.
 */
export async function openWindow(
  sql: Sql | Transaction,
  stretch: Stretch,
  maxEvents: number,
  newestFirst = false,
): Promise<Window> {
  const archive = archiveOf(sql)
  const spans = archive === null ? [] : await archive.spans(stretch.shard)
  let { after, through } = stretch
  const at = newestFirst ? through : after + 1
  for (const { first, end } of spans) {
    if (at >= first && at < end) {
      const within = { after: Math.max(after, first - 1), through: Math.min(through, end - 1) }
      return archive!.open({ shard: stretch.shard, ...within }, maxEvents, newestFirst)
    }
    if (end <= at) after = newestFirst ? Math.max(after, end - 1) : after
    else if (!newestFirst) through = Math.min(through, first - 1)
  }
  return { after, through, events: null, read: (read) => read(sql) }
}

/** Opens the window of the event at a position, if there is one. */
export const openAt = (sql: Sql | Transaction, shard: number, position: number): Promise<Window> =>
  openWindow(sql, { shard, after: position - 1, through: position }, 1)
