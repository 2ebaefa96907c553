import { countPostings } from '../projections/entry.ts'
import type { EntryBatch } from './entry-batch.ts'

/** 64 batches take 250 ms at full load; if they are large, `postings` take some 5 MB. */
const MAX = { batches: 64, large: 8, postings: 200_000 }

/** The newest batches that were handed over while an earlier one is missing. */
export class BufferedBatches {
  readonly #batches: { batch: EntryBatch; postings: number }[] = []
  #postings = 0

  get length(): number {
    return this.#batches.length
  }

  /** The position before these batches, through which the log has to be read. */
  get missingThrough(): number {
    const before = this.#batches.map(({ batch }) => batch.firstPosition - 1)
    return Math.min(Number.MAX_SAFE_INTEGER, ...before)
  }

  /** Adds a batch. The oldest ones are dropped if there are too many, and read from the log. */
  add(batch: EntryBatch): void {
    const postings = batch.entries.reduce((sum, entry) => sum + countPostings(entry), 0)
    this.#batches.push({ batch, postings })
    this.#postings += postings
    const most = () => (this.#postings > MAX.postings ? MAX.large : MAX.batches)
    while (this.#batches.length > most()) this.#postings -= this.#batches.shift()!.postings
  }

  /** Removes and returns all, in the order of the log. */
  take(): EntryBatch[] {
    this.#postings = 0
    const taken = this.#batches.splice(0).map(({ batch }) => batch)
    return taken.sort((a, b) => a.firstPosition - b.firstPosition)
  }
}
