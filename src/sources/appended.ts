import type { AppendedBatch } from '../log/appender-options.ts'
import { identityOf } from '../log/read.ts'
import { changesOf, type Part } from './change.ts'

/** Flushes of a shard that wait to be folded; if there are more, they are read from the log. */
const MAX_WAITING = 50_000

type Waiting = Part & {
  first: number
  /** The identities of the last event, and of the one before the first. */
  last: string
  previous: string | null
}

/** The commits that this process has added to one shard, and that are not folded. */
export class Appended {
  #waiting: Waiting[] = []
  #length = 0

  /** Flushes that wait. */
  get length(): number {
    return this.#length
  }

  add(batch: AppendedBatch): void {
    const { firstPosition: first, recordedAt, events, sources, payloadSha256s, previous } = batch
    // If nobody folds here, another instance does.
    if (this.#length + events.length > MAX_WAITING) this.#keep([])
    this.#waiting.push({
      ...{ first, position: first + events.length - 1, recordedAt },
      changes: changesOf(events, sources, recordedAt),
      last: identityOf({ recordedAt, payloadSha256: payloadSha256s.at(-1)! }),
      previous,
    })
    this.#length += events.length
  }

  /**
   * Removes and returns the commits that follow position `after` without a gap, and the identity of
   * the last event; null if there are none. Forgets those before. If the log has that event, it has
   * all of them: each commit follows the one before it in the same history of the log.
   */
  take(after: number): { commits: Part[]; last: string } | null {
    const commits: Waiting[] = []
    const later: Waiting[] = []
    let end = after
    for (const commit of this.#waiting.sort((a, b) => a.first - b.first)) {
      if (commit.position <= end) continue
      if (commit.first > end + 1) {
        later.push(commit)
        continue
      }
      const before = commits.at(-1)
      const isPartlyFolded = commit.first <= end
      const isOther = before !== undefined && commit.previous !== before.last
      if (isPartlyFolded || isOther) {
        // Another instance has folded a part of it, or the log has lost one of them.
        this.#keep([])
        return null
      }
      commits.push(commit)
      end = commit.position
    }
    this.#keep(later)
    const newest = commits.at(-1)
    return newest === undefined ? null : { commits, last: newest.last }
  }

  #keep(waiting: Waiting[]): void {
    this.#waiting = waiting
    this.#length = waiting.reduce((sum, { first, position }) => sum + position - first + 1, 0)
  }
}
