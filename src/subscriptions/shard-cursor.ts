import type { StoredEvent } from '../events/event.ts'
import type { ReadLimits } from '../log/filter.ts'
import type { ReadRange } from '../log/read.ts'
import { type Line, toLine } from './event-line.ts'

/**
 * Positions that one read scans at most, so that a read takes milliseconds, and the reader makes
 * progress, even if no event passes the filter.
 */
const WINDOW = 10_000

/** Reads events of a range, with the reader's filter and connection. */
export type ReadPage = (
  range: ReadRange & { through: number },
  limits: ReadLimits,
) => Promise<StoredEvent[]>

/**
 * Reads the lines of one shard from the log, a page at a time. Reads nothing before the page is
 * used up, and holds no connection between two pages.
 */
export class ShardCursor {
  /** All lines through this position were taken or skipped. */
  position: number
  /** Payload bytes of the whole page; 0 once it is used up. */
  bytes = 0
  #lines: Line[] = []
  #next = 0
  /** The end of the page: the value of `position` once its last line is taken. */
  #reached: number
  #filling: Promise<void> | null = null

  constructor(
    readonly shard: number,
    after: number,
    private readonly read: ReadPage,
    private readonly limits: ReadLimits,
  ) {
    this.position = after
    this.#reached = after
  }

  /** The next line of the page. */
  get first(): Line | undefined {
    return this.#lines[this.#next]
  }

  /** Takes the first line off the page. */
  take(): void {
    const isLast = this.#next === this.#lines.length - 1
    this.position = isLast ? this.#reached : this.#lines[this.#next]!.position
    this.#next++
    if (isLast) this.drop()
  }

  /**
   * Reads the next page, unless lines of the current one are left. All events through position
   * `through` must be committed. If a page is already being read, waits for that one: a reader of
   * several shards calls this again for all of them after one has failed.
   */
  fill(through: number): Promise<void> {
    this.#filling ??= this.#fill(through).finally(() => {
      this.#filling = null
    })
    return this.#filling
  }

  async #fill(through: number): Promise<void> {
    if (this.first !== undefined || this.position >= through) return
    const range = {
      shard: this.shard,
      after: this.position,
      through: Math.min(through, this.position + WINDOW),
    }
    const events = await this.read(range, this.limits)
    const bytes = events.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0)
    const isWhole = events.length < this.limits.rows && bytes < this.limits.bytes
    this.#reached = isWhole ? range.through : events.at(-1)!.position
    if (events.length === 0) this.position = this.#reached
    this.#lines = events.map(toLine)
    this.#next = 0
    this.bytes = bytes
  }

  /** Skips everything through a position: the reader has it, or doesn't want it. */
  skipTo(position: number): void {
    this.position = position
    this.#reached = position
  }

  /** Drops the rest of the page: it is read again when needed. */
  drop(): void {
    this.bytes = 0
    this.#lines = []
    this.#next = 0
  }
}
