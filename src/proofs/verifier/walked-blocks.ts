import { createHash } from 'node:crypto'
import { equalHashes, type Hash } from '../merkle/hash.ts'

/** Events per block. A block is read again as a whole, and 256 events are one short response. */
export const BLOCK_EVENTS = 256

/**
 * The events of a shard that the walk has passed, in blocks: a hash of each block's leaves, by
 * which its events are recognized when they are read again, and the time of its first event. This
 * takes about 100 bytes for 256 events.
 */
export class WalkedBlocks {
  /** The number of events. */
  size = 0
  readonly #hashes: Hash[] = []
  /** The hash of the last block so far. */
  #last = createHash('sha256')
  /** When the first event of each block was recorded. */
  readonly #begun: string[] = []
  readonly #withUnknown = new Set<number>()

  /** Adds the next event; `hasUnknown` if it has entries for keys that the catalog did not have. */
  append(leafHash: Hash, recordedAt: string, hasUnknown: boolean): void {
    if (this.size % BLOCK_EVENTS === 0) this.#begun.push(recordedAt)
    this.#last.update(leafHash)
    if (hasUnknown) this.#withUnknown.add(blockOf(this.size))
    this.size++
    if (this.size % BLOCK_EVENTS > 0) return
    this.#hashes.push(this.#last.digest())
    this.#last = createHash('sha256')
  }

  /** True if these are the leaf hashes of all events of a block that the walk has passed. */
  has(block: number, leafHashes: readonly Hash[]): boolean {
    const hash = createHash('sha256')
    for (const leafHash of leafHashes) hash.update(leafHash)
    const expected = this.#hashes[block] ?? this.#last.copy().digest()
    return equalHashes(hash.digest(), expected)
  }

  /** Returns the blocks in which any of the first `size` events may be recorded after a time. */
  recordedAfter(time: string, size: number): number[] {
    let block = blockOf(size - 1)
    const blocks = [block]
    while (block > 0 && this.#begun[block]! > time) blocks.push(--block)
    return blocks
  }

  /** The blocks that have entries for keys that the catalog did not have, in order. */
  withUnknown(): Iterable<number> {
    return this.#withUnknown
  }
}

/** Returns the number of the block that has a position. */
export const blockOf = (position: number): number => Math.floor(position / BLOCK_EVENTS)
