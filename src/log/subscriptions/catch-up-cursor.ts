import type { Line } from './event-line.ts'
import type { LineSource } from './merge-by-time.ts'
import type { ShardPages } from './shard-cursor.ts'
import type { TailBuffers } from './tail-buffers.ts'

/**
 * One shard's lines as a follower gets them: from the tail while that has the next one, else from
 * pages of the log. Lines that the follower doesn't want are passed over.
 */
export class CatchUpCursor implements LineSource {
  constructor(
    private readonly tails: TailBuffers,
    private readonly keeps: (line: Line) => boolean,
    readonly pages: ShardPages,
  ) {}

  peek(): Line | 'read' | 'none' {
    for (;;) {
      const line = this.pages.first ?? this.tails.lineAfter(this.pages.shard, this.pages.position)
      if (line === 'older') return 'read'
      if (line === 'none' || this.keeps(line)) return line
      this.#pass(line)
    }
  }

  take(): void {
    const line = this.peek()
    if (typeof line !== 'string') this.#pass(line)
  }

  #pass(line: Line): void {
    if (line === this.pages.first) this.pages.take()
    else this.pages.passTo(line.position)
  }

  /** Reads the next page, where the tail hasn't what it would bring. */
  async fill(): Promise<void> {
    if (this.peek() === 'read') await this.pages.fill(this.tails.headOf(this.pages.shard))
  }
}
