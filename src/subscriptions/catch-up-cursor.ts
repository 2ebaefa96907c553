import type { TimedSource } from '../events/merge-by-time.ts'
import type { Line } from './event-line.ts'
import type { ShardCursor } from './shard-cursor.ts'
import type { TailBuffers } from './tail-buffers.ts'

/**
 * One shard's lines for a subscriber: from the tail buffer while it has the next one, else from
 * pages of the log. Skips lines that the subscriber doesn't want.
 */
export class CatchUpCursor implements TimedSource<Line> {
  constructor(
    private readonly tails: TailBuffers,
    private readonly keeps: (line: Line) => boolean,
    readonly pages: ShardCursor,
  ) {}

  peek(): Line | 'read' | 'none' {
    for (;;) {
      const line = this.pages.first ?? this.tails.lineAfter(this.pages.shard, this.pages.position)
      if (line === 'evicted') return 'read'
      if (line === 'none' || this.keeps(line)) return line
      this.#skip(line)
    }
  }

  take(): void {
    const line = this.peek()
    if (typeof line !== 'string') this.#skip(line)
  }

  #skip(line: Line): void {
    if (line === this.pages.first) this.pages.take()
    else this.pages.skipTo(line.position)
  }

  /** Reads the next page, unless the tail buffer has the next line. */
  async fill(): Promise<void> {
    if (this.peek() === 'read') await this.pages.fill(this.tails.headOf(this.pages.shard))
  }
}
