import type { AppendedBatch } from '../log/append.ts'
import { identityOf } from '../log/read.ts'
import { type SourceFlush, toSourceFlush } from './source-flush.ts'

/** Flushes of a shard that wait to be folded; if there are more, they are read from the log. */
const MAX_WAITING = 10_000

/** Flushes at consecutive positions, and the identity of the last one. */
export type AppendedFlushes = { first: number; flushes: SourceFlush[]; last: string }

/** The flushes of one commit, and the identity of the event before them. */
type Batch = AppendedFlushes & { previous: string | null }

/** The flushes of one shard that this process has appended and not folded. */
export class Appended {
  #waiting: Batch[] = []
  #length = 0

  /** Flushes that wait. */
  get length(): number {
    return this.#length
  }

  add(batch: AppendedBatch): void {
    const { firstPosition, recordedAt, events, sources, payloadSha256s, previous } = batch
    // If nobody folds here, another instance does.
    if (this.#length + events.length > MAX_WAITING) this.#keep([])
    this.#waiting.push({
      first: firstPosition,
      flushes: events.map((event, i) => toSourceFlush(event, sources[i]!, recordedAt)),
      last: identityOf({ recordedAt, payloadSha256: payloadSha256s.at(-1)! }),
      previous,
    })
    this.#length += events.length
  }

  /**
   * Removes and returns the flushes that follow position `after` without a gap; null if there are
   * none. Forgets those before. If the log has the last of them, it has all of them: each batch
   * follows the one before it in the same history of the log.
   */
  take(after: number): AppendedFlushes | null {
    const flushes: SourceFlush[] = []
    let last: string | null = null
    const later: Batch[] = []
    for (const batch of this.#waiting.sort((a, b) => a.first - b.first)) {
      const folded = after + 1 + flushes.length - batch.first
      if (folded < 0) later.push(batch)
      if (folded < 0 || folded >= batch.flushes.length) continue
      if (last !== null && batch.previous !== last) {
        // The log has lost one of them.
        this.#keep([])
        return null
      }
      flushes.push(...batch.flushes.slice(folded))
      last = batch.last
    }
    this.#keep(later)
    return last === null ? null : { first: after + 1, flushes, last }
  }

  #keep(batches: Batch[]): void {
    this.#waiting = batches
    this.#length = batches.reduce((sum, { flushes }) => sum + flushes.length, 0)
  }
}
