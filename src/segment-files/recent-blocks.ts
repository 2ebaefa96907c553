import type { Block } from './blocks/decode.ts'

/**
 * Bytes of blocks that are kept, of all segments together: some 30 blocks. What is made of their
 * headers takes a sixth more.
 */
export const RECENT_BYTES = 32 * 1024 * 1024

type Kept = { block: Promise<Block>; bytes: number }

/**
 * Keeps blocks that were read last, or are being read, within a bound. They are kept as they were
 * before their events were decoded: these take ten times as much.
 */
export class RecentBlocks {
  /** By file and place; the oldest first. */
  readonly #kept = new Map<string, Kept>()
  #bytes = 0

  constructor(private readonly maxBytes = RECENT_BYTES) {}

  /** The bytes of the blocks that are kept now. */
  get bytes(): number {
    return this.#bytes
  }

  /** Returns the block with this name, and fetches it if it isn't kept. */
  get(name: string, bytes: number, fetch: () => Promise<Block>): Promise<Block> {
    const known = this.#kept.get(name)
    if (known !== undefined) {
      this.#kept.delete(name)
      this.#kept.set(name, known)
      return known.block
    }
    // It would leave room for no other.
    if (bytes > this.maxBytes) return fetch()
    const added = { block: fetch(), bytes }
    this.#kept.set(name, added)
    this.#bytes += bytes
    // A failure is not kept: the store may be back.
    added.block.catch(() => {
      if (this.#kept.get(name) === added) this.#remove(name, added)
    })
    this.#removeOldest()
    return added.block
  }

  #removeOldest(): void {
    for (const [name, kept] of this.#kept) {
      if (this.#bytes <= this.maxBytes) break
      this.#remove(name, kept)
    }
  }

  #remove(name: string, { bytes }: Kept): void {
    this.#kept.delete(name)
    this.#bytes -= bytes
  }
}
