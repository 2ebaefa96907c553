import { type TimedSource, takeNextByTime } from '../../events/merge-by-time.ts'
import type { Positions } from '../../events/positions.ts'
import type { Line } from '../../subscriptions/event-line.ts'
import { type ReadPage, ShardCursor } from '../../subscriptions/shard-cursor.ts'
import type { StreamSource } from '../streams.ts'

/** Bytes of payload on the pages of all shards together; a single larger event is also read. */
const PAGE_BYTES = 1024 * 1024
const PAGE_ROWS = 1_000
/** Approximate bytes that `next` returns at once; a larger line is returned alone. */
const NEXT_BYTES = 64 * 1024

const NEWLINE = new Uint8Array([10])

export type RangeOptions = {
  shards: number[]
  after: Positions
  /** The last position of the range in each shard; it must be committed. */
  through: Positions
  /** The maximum number of events. */
  limit: number
  read: ReadPage
}

/** Streams the events of a range, one per line; several shards are merged by time. */
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

class RangeShard implements TimedSource<Line> {
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
