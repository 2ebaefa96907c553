import { hash } from 'node:crypto'
import type { BlockCache } from './cache.ts'
import { SegmentError } from './failure.ts'
import type { Range, SegmentStore } from './stores/store.ts'

/** Fetches parts of one object, each checked by its hash, and kept in a cache if there is one. */
export class CheckedFile {
  constructor(
    private readonly store: SegmentStore,
    readonly name: string,
    private readonly cache: BlockCache | null = null,
  ) {}

  /** Returns the length of the object. Throws SegmentError if it can't be read. */
  async size(): Promise<number> {
    const found = await this.store.size(this.name)
    if (found.kind !== 'found') throw new SegmentError(found)
    return found.bytes
  }

  /** Returns bytes whose hash is not known. Throws SegmentError if they can't be read. */
  async readUnchecked(range: Range): Promise<Buffer<ArrayBuffer>> {
    if (range.length === 0) return Buffer.alloc(0)
    const read = await this.store.read(this.name, range)
    if (read.kind !== 'read') throw new SegmentError(read)
    return read.bytes
  }

  /**
   * Returns bytes with this SHA-256. Throws SegmentError if they can't be read, or have another
   * one, twice: a disk or a network may err once.
   */
  async read(range: Range, sha256: string): Promise<Buffer<ArrayBuffer>> {
    const cached = await this.cache?.get(sha256)
    if (cached?.length === range.length) return cached
    for (let attempt = 1; attempt <= 2; attempt++) {
      const bytes = await this.readUnchecked(range)
      if (hash('sha256', bytes, 'hex') !== sha256) continue
      await this.cache?.put(sha256, bytes)
      return bytes
    }
    const { offset, length } = range
    const reason = `${this.name}: the ${length} bytes at ${offset} have another SHA-256`
    throw new SegmentError({ kind: 'lied', reason })
  }
}
