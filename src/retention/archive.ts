import { connectAsOwner, type ServerAddress, type Sql } from '../platform/postgres/pool.ts'
import type { SignedTreeHead } from '../proofs/merkle/tree-head.ts'
import { snapshots } from '../read-model/projections/snapshots.ts'
import { UnfitEvent } from '../segment-files/blocks/encode.ts'
import type { SegmentFailure } from '../segment-files/failure.ts'
import { CheckedFile } from '../segment-files/fetch.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import { verifySegment } from '../segment-files/verify.ts'
import { checkFile } from './file-checks.ts'
import { leaveSegment, markLeaving, unmarkLeaving } from './leave.ts'
import { type ArchivedSegment, LEAVING_MS, readArchived } from './registry.ts'
import { type FullSegment, writeSegment } from './write.ts'

export type ArchiveRunOptions = {
  /** Segments leave as the owner, on a connection that is opened for it. */
  address: ServerAddress
  /** Reads the log. */
  sql: Sql
  store: SegmentStore
  /** For how many days flushes stay in the database; null for all days. */
  keepDays: number | null
  /** The newest signed head of each shard, for the files; null if the log's keys are not known. */
  heads: ReadonlyMap<number, SignedTreeHead> | null
  signal: AbortSignal
  /** Called for each step that was done, in words. */
  onStep: (step: string) => void
  /** Default LEAVING_MS. */
  leavingMs?: number
}

/** The result of a run: what was done, and what could not be. */
export type ArchiveRun = { written: number; marked: number; left: number; problems: string[] }

/** The migration from which on instances look into the archive. */
const ARCHIVE_MIGRATION = 40

/** Identifies the lock of a run, over all instances. */
const ARCHIVE_LOCK = 7_365_007

/** Attempts to take a segment out, and the pause (ms) between two. */
const LEAVE_TRIES = 50
const LEAVE_PAUSE_MS = 200

/** Milliseconds between two runs of those that wait until segments may leave. */
const WAIT_MS = 1_000

/**
 * Moves the segments of the log on, each by the next step: those that are full are written to the
 * archive; those that are there and old enough are marked, after they were verified again; those
 * that were marked for long enough leave the database. Returns null if another run is under way.
 * Killed at any point, the next run continues: nothing leaves before its file was read back.
 */
export async function archiveSegments(options: ArchiveRunOptions): Promise<ArchiveRun | null> {
  const owner = connectAsOwner(options.address)
  try {
    const [lock] = await owner<{ taken: boolean }[]>`
      select pg_try_advisory_lock(${ARCHIVE_LOCK}) as taken`
    if (!lock!.taken) return null
    const run = { written: 0, marked: 0, left: 0, problems: [] }
    await leaveMarked(owner, options, run)
    await writeFull(owner, options, run)
    await markOld(owner, options, run)
    return run
  } finally {
    await owner.end({ timeout: 1 })
  }
}

/**
 * Does so until no segment is marked any more: the runs in between take what has become full or old
 * meanwhile. Waits for other processes. Stops at the first problem.
 */
export async function archiveAll(options: ArchiveRunOptions): Promise<ArchiveRun> {
  const all: ArchiveRun = { written: 0, marked: 0, left: 0, problems: [] }
  for (;;) {
    const run = await archiveSegments(options)
    all.written += run?.written ?? 0
    all.marked += run?.marked ?? 0
    all.left += run?.left ?? 0
    all.problems.push(...(run?.problems ?? []))
    if (all.problems.length > 0) return all
    if (run !== null && (await readMarked(options.sql, 0)).length === 0) return all
    await Bun.sleep(WAIT_MS)
    options.signal.throwIfAborted()
  }
}

/**
 * Returns the segments that can be written: full, their keys packed, their leaves in the tree. In
 * the order of age, over all shards.
 */
export async function readWritable(sql: Sql): Promise<FullSegment[]> {
  const rows = await sql<Row[]>`
    select g.shard, g.first_position as first, g.end_position as end
    from segments g
      join heads() h on h.shard = g.shard
    where g.end_position <= h.head and g.packed_through = g.end_position - 1
      and not exists (
        select
        from archived_segments a
        where a.shard = g.shard and a.first_position = g.first_position
      )
      and exists (
        select
        from tiles t
        where t.shard = g.shard and t.level = 0
          and t.number * 256 + octet_length(t.hashes) / 32 >= g.end_position
          and t.number >= (g.end_position - 1) / 256
      )
    order by g.first_position, g.shard`
  return rows.map(toSegment)
}

/**
 * Returns the segments that may leave: in the archive, older than `keepDays`, and folded by all
 * projections, so that none of them needs the archive for what is new. Snapshots are taken at a
 * distance. None while there may be an instance that does not look into the archive.
 */
export async function readOld(sql: Sql, keepDays: number): Promise<FullSegment[]> {
  const rows = await sql<Row[]>`
    select a.shard, a.first_position as first, a.end_position as end
    from archived_segments a
    where a.leaving_at is null
      and greatest(a.last_recorded_at, a.restored_at)
        < clock_timestamp() - make_interval(days => ${keepDays}::integer)
      and not exists (
        select
        from checkpoints c
          join projections p on p.projection = c.projection and p.generation = c.generation
        where c.shard = a.shard and c.position < a.end_position - 1
          and c.projection <> ${snapshots.name}
      )
      and not exists (
        select
        from instances i
        where i.migration < ${ARCHIVE_MIGRATION}
      )
      -- The first segments of a log that was one table leave together.
      and not (
        a.first_position = 0 and to_regclass('events_legacy') is not null
        and exists (
          select
          from segments g
            left join archived_segments o
              on o.shard = g.shard and o.first_position = g.first_position
          where g.first_position = 0
            and coalesce(
              greatest(o.last_recorded_at, o.restored_at)
                >= clock_timestamp() - make_interval(days => ${keepDays}::integer),
              true
            )
        )
      )
    order by a.first_position, a.shard`
  return rows.map(toSegment)
}

/** Returns the segments that were marked for long enough, and have not left. */
export async function readMarked(sql: Sql, leavingMs = LEAVING_MS): Promise<FullSegment[]> {
  const rows = await sql<Row[]>`
    select a.shard, a.first_position as first, a.end_position as end
    from archived_segments a
    where a.left_at is null
      and a.leaving_at <= clock_timestamp() - make_interval(secs => ${leavingMs / 1_000})
    order by a.first_position, a.shard`
  return rows.map(toSegment)
}

type Row = { shard: number; first: string; end: string }

const toSegment = ({ shard, first, end }: Row): FullSegment => ({
  ...{ shard, first: Number(first), end: Number(end) },
})

async function writeFull(owner: Sql, options: ArchiveRunOptions, run: ArchiveRun): Promise<void> {
  for (const segment of await readWritable(options.sql)) {
    options.signal.throwIfAborted()
    const head = options.heads?.get(segment.shard) ?? null
    // It is signed within a second, if there is someone to do so.
    if (options.heads !== null && (head === null || head.size < segment.end)) continue
    try {
      const result = await writeSegment(segment, { ...options, owner, head })
      if (result.kind === 'failed') {
        // The store fails; it would for the next one, too.
        run.problems.push(`${nameOf(segment)} was not written: ${result.failure.reason}`)
        return
      }
      run.written++
      options.onStep(`${nameOf(segment)} is in the archive`)
    } catch (error) {
      if (!(error instanceof UnfitEvent)) throw error
      run.problems.push(`${nameOf(segment)} stays: ${error.message}`)
    }
  }
}

async function markOld(owner: Sql, options: ArchiveRunOptions, run: ArchiveRun): Promise<void> {
  const { sql, store, keepDays, signal } = options
  if (keepDays === null) return
  for (const segment of await readFiles(sql, await readOld(sql, keepDays))) {
    signal.throwIfAborted()
    const { shard, first, end, fileName, fileBytes: bytes, indexSha256 } = segment
    const file = new CheckedFile(store, fileName)
    const verified = await verifySegment(file, { shard, first, end, bytes, indexSha256, signal })
    if (verified.kind === 'problem') {
      run.problems.push(`${nameOf(segment)} stays: ${verified.failure.reason}`)
      if (isLost(verified.failure)) await forgetFile(owner, segment)
      continue
    }
    await markLeaving(owner, shard, first)
    run.marked++
    options.onStep(`${nameOf(segment)} is read from the archive`)
  }
}

async function leaveMarked(owner: Sql, options: ArchiveRunOptions, run: ArchiveRun): Promise<void> {
  const { sql, store, leavingMs } = options
  for (const segment of await readFiles(sql, await readMarked(sql, leavingMs))) {
    const { shard, first } = segment
    // It was verified when it was marked. Now nothing leaves unless the store still has it.
    const failure = await checkFile(segment, store)
    if (failure !== null) {
      await unmarkLeaving(owner, shard, first)
      run.problems.push(`${nameOf(segment)} stays: ${failure.reason}`)
      continue
    }
    for (let tries = 0; tries < LEAVE_TRIES; tries++) {
      options.signal.throwIfAborted()
      if (await leaveSegment(owner, shard, first, leavingMs)) {
        run.left++
        options.onStep(`${nameOf(segment)} has left the database`)
        break
      }
      await Bun.sleep(LEAVE_PAUSE_MS)
    }
  }
}

/** Returns what is known of the files of segments, in the same order. */
async function readFiles(sql: Sql, segments: readonly FullSegment[]): Promise<ArchivedSegment[]> {
  if (segments.length === 0) return []
  const archived = await readArchived(sql)
  return segments.flatMap(({ shard, first }) =>
    archived.filter((other) => other.shard === shard && other.first === first),
  )
}

/** True if a store answers, but has not what was written. */
const isLost = ({ kind }: SegmentFailure) =>
  kind === 'not_found' || kind === 'lied' || kind === 'malformed'

/** Lets a segment be written again, whose events are all in the database. */
async function forgetFile(owner: Sql, { shard, first, fileName }: ArchivedSegment): Promise<void> {
  await owner`
    delete from archived_segments a
    where a.shard = ${shard} and a.first_position = ${first} and a.file_name = ${fileName}
      and a.leaving_at is null`
}

/** `Segment 0/524288 to 1048575` */
const nameOf = ({ shard, first, end }: FullSegment) => `Segment ${shard}/${first} to ${end - 1}`
