import type { StoredEvent } from '../../events/event.ts'
import type { ReadLimits, ReadRange } from '../read.ts'
import { type Line, toLine } from './event-line.ts'

/**
 * Positions that one read looks at: a filter that nothing passes takes milliseconds a read then,
 * and the reader gets on.
 */
const WINDOW = 10_000

/** Reads events of a range; the reader's filter and connection are in it. */
export type ReadPage = (
  range: ReadRange & { through: number },
  limits: ReadLimits,
) => Promise<StoredEvent[]>

/**
 * Lines of one shard from the log, a page at a time: nothing is read before the page is used up,
 * and no connection is held between two pages.
 */
export class ShardPages {
  /** How far it has come: all up to here was taken, or isn't wanted. */
  position: number
  /** Of the page as it was read; 0 once it is used up. */
  bytes = 0
  #lines: Line[] = []
  #next = 0
  /** Where the page ends: `position`, once its last line is taken. */
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
   * Reads the next page, of events up to `upTo`: they must have been committed by now. A page that
   * is being read is waited for: a reader of several shards, one of which fails, tries all again.
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

  /** Passes over all up to a position: the reader has it, or doesn't want it. */
  passTo(position: number): void {
    this.position = position
    this.#reached = position
  }

  /** Forgets what is left of the page: it is read again when it is wanted. */
  drop(): void {
    this.bytes = 0
    this.#lines = []
    this.#next = 0
  }
}
