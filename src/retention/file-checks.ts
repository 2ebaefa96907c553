import { Poll } from '../platform/async/poll.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'
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

/**
 * Knows which files of the archive can't be read: from reads of the log, and by opening one file
 * after the other, from the store and not from the cache, so that a lost file is noticed before
 * someone needs it.
 */
export class FileChecks {
  readonly #failing = new Map<string, Unreadable>()
  /** The files that were opened in this round. */
  readonly #done = new Set<string>()

  /** The files that can't be read, in the order in which that was noticed. */
  get unreadable(): Unreadable[] {
    return [...this.#failing.values()]
  }

  /** Notes that a file was read, or why it could not be. */
  note({ shard, first, fileName }: ArchivedSegment, failure: SegmentFailure | null): void {
    if (failure === null) this.#failing.delete(fileName)
    else {
      const since = this.#failing.get(fileName)?.since ?? new Date().toISOString()
      const where = { shard, first_position: first, file_name: fileName }
      this.#failing.set(fileName, { ...where, since, reason: failure.reason })
    }
  }

  /** Opens each file of the archive once in `eachMs`, one at a time. */
  start(sql: Sql, store: SegmentStore, eachMs: number): Poll {
    const poll = new Poll(async () => {
      try {
        return await this.#checkNext(sql, store, eachMs)
      } catch (error) {
        if (!isUnavailable(error)) throw error
        return eachMs
      }
    }, eachMs)
    return poll.start(MIN_PAUSE_MS)
  }

  async #checkNext(sql: Sql, store: SegmentStore, eachMs: number): Promise<number> {
    const archived = await readArchived(sql)
    const names = new Set(archived.map(({ fileName }) => fileName))
    for (const name of this.#failing.keys()) if (!names.has(name)) this.#failing.delete(name)
    let next = archived.find(({ fileName }) => !this.#done.has(fileName))
    if (next === undefined) {
      this.#done.clear()
      next = archived[0]
    }
    if (next === undefined) return eachMs
    this.#done.add(next.fileName)
    this.note(next, await check(next, store))
    return Math.max(eachMs / archived.length, MIN_PAUSE_MS)
  }
}

/** Opens a file, and reads its last event. Returns why it can't be done. */
async function check(
  { shard, first, end, fileName, fileBytes: bytes, indexSha256 }: ArchivedSegment,
  store: SegmentStore,
): Promise<SegmentFailure | null> {
  try {
    const file = new CheckedFile(store, fileName)
    const segment = await Segment.open(file, { shard, first, end, bytes, indexSha256 })
    await segment.readEvent(end - 1)
    return null
  } catch (error) {
    if (error instanceof SegmentError) return error.failure
    throw error
  }
}
