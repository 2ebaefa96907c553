import { hashLeaf, toLeaf } from '../events/leaf.ts'
import { Poll } from '../platform/async/poll.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { equalHashes } from '../proofs/merkle/hash.ts'
import type { SegmentFailure } from '../segment-files/failure.ts'
import { SegmentError } from '../segment-files/failure.ts'
import { CheckedFile } from '../segment-files/fetch.ts'
import { Segment } from '../segment-files/read.ts'
import type { SegmentStore } from '../segment-files/stores/store.ts'
import { type ArchivedSegment, readArchived } from './registry.ts'

/** A segment whose file could not be read when that was last attempted. */
export type Unreadable = {
  shard: number
  first_position: number
  file_name: string
  /** RFC 3339. */
  since: string
  reason: string
}

/** The shortest time (ms) between two checks. */
const MIN_PAUSE_MS = 100

/** Milliseconds after which what failed is attempted again. */
const RETRY_MS = 60_000

/** A read of a segment, to be repeated until it succeeds. */
type Read = (segment: Segment) => Promise<unknown>

/**
 * Knows which files of the archive can't be read: from reads of the log, and by opening one file
 * after the other, from the store and not from the cache, so that a lost file is noticed before
 * someone needs it. Of each a random event is compared with the tree. What has failed is repeated,
 * from the store as well: a read that succeeds may have found everything in the cache, or needed
 * other parts.
 */
export class FileChecks {
  readonly #failing = new Map<string, Unreadable & { read: Read | null }>()
  /** The files that were opened in this round. */
  readonly #done = new Set<string>()
  #nextAt = 0

  /** The files that can't be read, in the order of time. */
  get unreadable(): Unreadable[] {
    const all = [...this.#failing.values()].map(({ read: _, ...unreadable }) => unreadable)
    return all.sort((a, b) => Date.parse(a.since) - Date.parse(b.since))
  }

  /** Notes why a file could not be read, and what to repeat until it can: null for no more. */
  note(
    { shard, first, fileName }: ArchivedSegment,
    failure: SegmentFailure,
    read: Read | null,
  ): void {
    const since = this.#failing.get(fileName)?.since ?? new Date().toISOString()
    // The last one is repeated last.
    this.#failing.delete(fileName)
    const where = { shard, first_position: first, file_name: fileName }
    this.#failing.set(fileName, { ...where, since, reason: failure.reason, read })
  }

  /** Opens each file of the archive once in `eachMs`, one at a time. */
  start(sql: Sql, store: SegmentStore, eachMs: number): Poll {
    const retryMs = Math.min(eachMs, RETRY_MS)
    const poll = new Poll(async () => {
      try {
        const archived = await readArchived(sql)
        await this.#repeatFailed(archived, store)
        if (performance.now() >= this.#nextAt) await this.#checkNext(sql, archived, store, eachMs)
      } catch (error) {
        if (!isUnavailable(error)) throw error
        return retryMs
      }
      return Math.max(Math.min(this.#nextAt - performance.now(), retryMs), MIN_PAUSE_MS)
    }, eachMs)
    return poll.start(MIN_PAUSE_MS)
  }

  /** Repeats what has failed, until one fails again: the store may be down. */
  async #repeatFailed(archived: readonly ArchivedSegment[], store: SegmentStore): Promise<void> {
    const files = new Map(archived.map((file) => [file.fileName, file]))
    for (const [name, { read }] of [...this.#failing]) {
      const file = files.get(name)
      const failure = file === undefined ? null : await checkFile(file, store, read)
      if (failure !== null) return this.note(file!, failure, read)
      this.#failing.delete(name)
    }
  }

  async #checkNext(
    sql: Sql,
    archived: readonly ArchivedSegment[],
    store: SegmentStore,
    eachMs: number,
  ): Promise<void> {
    let next = archived.find(({ fileName }) => !this.#done.has(fileName))
    if (next === undefined) {
      this.#done.clear()
      next = archived[0]
    }
    this.#nextAt = performance.now() + eachMs / Math.max(archived.length, 1)
    if (next === undefined) return
    this.#done.add(next.fileName)
    if (this.#failing.has(next.fileName)) return
    const position = next.first + Math.floor(Math.random() * (next.end - next.first))
    const read = (segment: Segment) => compareEvent(sql, segment, position)
    const failure = await checkFile(next, store, read)
    if (failure !== null) this.note(next, failure, read)
  }
}

/** Compares one event of a segment with the tree of the log. Throws SegmentError if it differs. */
async function compareEvent(sql: Sql, segment: Segment, position: number): Promise<void> {
  const { shard } = segment.index
  const event = await segment.readEvent(position)
  const [row] = await sql<{ leaf: Buffer }[]>`
    select substring(t.hashes from 1 + 32 * ${position % 256}::integer for 32) as leaf
    from tiles t
    where t.shard = ${shard} and t.level = 0 and t.number = ${Math.floor(position / 256)}`
  if (event !== null && row && equalHashes(hashLeaf(toLeaf(event)), row.leaf)) return
  const reason = `event ${shard}/${position} is not the one in the tree of the log`
  throw new SegmentError({ kind: 'lied', reason })
}

/**
 * Opens a file, without a cache, and reads its last event or what `read` does. Returns why it can't
 * be done.
 */
export async function checkFile(
  { shard, first, end, fileName, fileBytes: bytes, indexSha256 }: ArchivedSegment,
  store: SegmentStore,
  read: Read | null = null,
): Promise<SegmentFailure | null> {
  try {
    const file = new CheckedFile(store, fileName)
    const segment = await Segment.open(file, { shard, first, end, bytes, indexSha256 })
    await segment.readEvent(end - 1)
    await read?.(segment)
    return null
  } catch (error) {
    if (error instanceof SegmentError) return error.failure
    throw error
  }
}
