import type { Positions } from '../../events/positions.ts'
import { type LineSource, takeNextByTime } from '../../log/subscriptions/merge-by-time.ts'
import { type ReadPage, ShardCursor } from '../../log/subscriptions/shard-cursor.ts'
import type { StreamSource } from '../streams.ts'

/** Bytes of payload on the pages of all shards together, but for a lone event that is larger. */
const PAGE_BYTES = 1024 * 1024
const PAGE_ROWS = 1_000
/** Bytes that one answer of `next` has, about: a line that is larger comes alone. */
const NEXT_BYTES = 64 * 1024

const NEWLINE = new Uint8Array([10])

export type RangeOptions = {
  shards: number[]
  after: Positions
  /** Positions that are committed: where the range ends, a shard each. */
  through: Positions
  /** Events at most. */
  limit: number
  read: ReadPage
}

/** The events of a range, a line each: by time where there are several shards. */
export class RangeSource implements StreamSource {
  readonly #shards: RangeShard[]
  #left: number
  #isOver = false

  constructor({ shards, after, through, limit, read }: RangeOptions) {
    const limits = { rows: PAGE_ROWS, bytes: Math.ceil(PAGE_BYTES / shards.length) }
    this.#left = limit
    this.#shards = shards.map(
      (shard, i) => new RangeShard(new ShardCursor(shard, after[i]!, read, limits), through[i]!),
    )
  }

  async next(): Promise<Uint8Array[] | null> {
    const parts: Uint8Array[] = []
    for (let bytes = 0; bytes < NEXT_BYTES && this.#left > 0 && !this.#isOver; ) {
      const line = takeNextByTime(this.#shards)
      if (line === 'none') break
      if (line === 'read') {
        if (parts.length > 0) break
        await Promise.all(this.#shards.map((shard) => shard.fill()))
        continue
      }
      parts.push(line.json, NEWLINE)
      bytes += line.json.byteLength
      this.#left--
    }
    return parts.length === 0 ? null : parts
  }

  end(): void {
    this.#isOver = true
    for (const shard of this.#shards) shard.pages.drop()
  }
}

class RangeShard implements LineSource {
  constructor(
    readonly pages: ShardCursor,
    private readonly through: number,
  ) {}

  peek() {
    return this.pages.first ?? (this.pages.position < this.through ? 'read' : 'none')
  }

  take(): void {
    this.pages.take()
  }

  fill(): Promise<void> {
    return this.pages.fill(this.through)
  }
}
