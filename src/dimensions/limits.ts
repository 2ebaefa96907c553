import type { AttributedFlush } from '../events/flush.ts'
import { findAppended } from '../log/first-attempt.ts'
import type { PendingFlush } from '../log/queue.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { acceptValues } from './accept.ts'
import { countFlush } from './count.ts'
import type { Scope } from './decide.ts'
import { KnownDay } from './known.ts'
import { countOthers } from './others.ts'
import { type Asked, noteAnswers, Questions } from './questions.ts'
import { deleteDaysBefore } from './sweep.ts'
import { readToday } from './today.ts'

/** The most values of a dimension that a shard accepts on a day by default. */
export const DIMENSION_VALUES = 1_000

/** The most combinations that a shard accepts for an account on a day. */
const COMBINATIONS = 10_000

/** Questions that one transaction answers: the row of the day is locked for some 100 ms. */
const MAX_QUESTIONS = 5_000

/** The size of what is known of all shards; some 100 MB. */
const MAX_SIZE = 2_000_000

export type DimensionLimitsOptions = {
  /** For accepting values. */
  sql: Sql
  /** For deleting what was accepted on earlier days. */
  background: Sql
  /** Defaults to DIMENSION_VALUES. */
  dimensionValues?: number | undefined
  /** Defaults to COMBINATIONS. */
  combinations?: number
  /** Called with the number of values that appended flushes have and that are counted as OTHER. */
  onOthers: (values: number) => void
  /** Called if deleting failed. It is tried again on the next day. */
  onSweepFailed?: (error: unknown) => void
}

/**
 * Limits how many values of a dimension, and how many combinations of values of an account, a shard
 * counts on a day (UTC). Values beyond that are counted as OTHER; if an account is full, all values
 * of the entry are.
 *
 * What is accepted is committed before the flushes are appended, so that the limits are exact
 * whatever instances do at once, and after a restart. Failed and not stored, and failed but stored:
 * the flushes are not appended, and what was accepted stays accepted.
 *
 * A batch is counted by the day on which it is about to be appended. If it is recorded a moment
 * later, after midnight, what it has was accepted on the day before.
 */
export class DimensionLimits {
  /** By shard. It is read only if a batch has something that was not accepted before. */
  readonly #known = new Map<number, KnownDay>()

  constructor(private readonly options: DimensionLimitsOptions) {}

  /** Counts flushes that are about to be appended to a shard. */
  readonly limit = async (shard: number, flushes: readonly PendingFlush[]): Promise<void> => {
    const known = await this.#currentDay(shard)
    const first = countFlushes(known, flushes)
    if (first.open.length === 0) return
    // A retry takes no place.
    const appended = await findAppended(this.options.sql, shard, first.open)
    let open = first.open.filter((flush) => !appended.has(flush))
    while (open.length > 0) {
      const counted = countFlushes(known, open)
      await this.#ask(shard, known, counted.questions.all)
      open = counted.open
    }
  }

  /** Notes what was appended to a shard. */
  noteAppended(shard: number, recordedAt: string, events: readonly AttributedFlush[]): void {
    const day = recordedAt.slice(0, 'YYYY-MM-DD'.length)
    if (this.#known.get(shard)?.day !== day) this.#known.delete(shard)
    const others = countOthers(events)
    if (others > 0) this.options.onOthers(others)
  }

  async #currentDay(shard: number): Promise<KnownDay> {
    const now = performance.now()
    const known = this.#known.get(shard)
    const isSmall = () =>
      [...this.#known.values()].reduce((sum, { size }) => sum + size, 0) <= MAX_SIZE
    if (known?.isCurrent(now) && isSmall()) return known
    const { sql, background, onSweepFailed = () => {} } = this.options
    const begun = new KnownDay(await readToday(sql, shard), now)
    this.#known.set(shard, begun)
    if (known?.day !== begun.day) {
      deleteDaysBefore(background, shard, begun.day).catch(onSweepFailed)
    }
    return begun
  }

  async #ask(shard: number, known: KnownDay, asked: readonly Asked[]): Promise<void> {
    const { sql, dimensionValues = DIMENSION_VALUES, combinations = COMBINATIONS } = this.options
    const limits = {
      limitOf: ({ kind }: Scope) => (kind === 'dimension' ? dimensionValues : combinations),
      isWanted: (scope: Scope) => !known.isComplete(scope),
    }
    for (let from = 0; from < asked.length; from += MAX_QUESTIONS) {
      const some = asked.slice(from, from + MAX_QUESTIONS)
      const { answers, full } = await acceptValues(sql, { shard, day: known.day }, some, limits)
      noteAnswers(some, answers)
      for (const scope of full) known.complete(scope)
    }
  }
}

/** Counts those flushes of which everything is known. Returns the others, and what to ask. */
function countFlushes(known: KnownDay, flushes: readonly PendingFlush[]) {
  const questions = new Questions()
  const open = flushes.filter((flush) => {
    const { attributed } = flush
    const details = countFlush(known, attributed, questions)
    if (details !== null && details !== attributed.data.details) flush.countAs(details)
    return details === null
  })
  return { open, questions }
}
