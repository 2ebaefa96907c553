import { covers, type Positions } from '../events/positions.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { CURRENT } from '../read-model/projections/index.ts'
import { usage } from '../read-model/projections/usage.ts'
import type { AwaitedGroup, Projector } from '../read-model/projector/projector.ts'
import { readNow } from '../read-model/queries/live.ts'
import type { History } from './earlier.ts'
import { type Exhausted, readAllExhausted } from './exhausted.ts'
import { hasPeriods } from './kinds.ts'
import { readPeriods } from './used.ts'

/** How long (ms) a read of the list waits for the projections. */
const CATCH_UP_MS = 10_000

/**
 * How long (ms) before the end of a period, by this machine's clock, the list is read again and
 * again: the database's clock, by which periods end, may be ahead by as much.
 */
const CLOCK_TOLERANCE_MS = 5_000

const ALL = { tokenHash: null }

/** Where the list is read. `nowMs` replaces the clock of the database. */
export type ExhaustedListOptions = {
  sql: Sql
  projector: Projector
  history: History
  nowMs?: () => number
}

/**
 * The keys that have used their quota. It is read again only if the log has grown, or a period ends
 * of a key in it: no other key can change then.
 */
export class ExhaustedList {
  keys: ReadonlyMap<string, Exhausted> = new Map()
  /** The heads of the log through which it was read; null before the first time. */
  #heads: Positions | null = null

  constructor(private readonly options: ExhaustedListOptions) {}

  /** Reads it if something may have changed. Returns false if it is not known to be up to date. */
  async refresh(): Promise<boolean> {
    const { projector } = this.options
    const heads = await projector.readHeads()
    if (this.#heads?.join() === heads.join() && !this.#isPeriodEnding()) return true
    const keys = (await this.#read(heads, false)) ?? (await this.#read(heads, true))
    if (keys === null) return false
    this.keys = keys
    this.#heads = heads
    return true
  }

  /**
   * Reads it. Returns null if the projections are behind these heads, or if a key has a period and
   * that is not considered: then usage has to be waited for, which is folded less often.
   */
  async #read(heads: Positions, withPeriods: boolean): Promise<Map<string, Exhausted> | null> {
    const { sql, projector, history } = this.options
    const nowMs = this.options.nowMs?.() ?? null
    const groups: AwaitedGroup[] = withPeriods ? ['usage', 'current'] : ['current']
    const reached = await Promise.all(
      groups.map((group) => projector.reach(heads, CATCH_UP_MS, group)),
    )
    if (!reached.every(Boolean)) return null
    const { value, positions } = await readNow(
      sql,
      async (transaction, source) => {
        if (withPeriods) {
          const state = { scope: ALL, nowMs, past: null }
          const periods = await readPeriods(transaction, source, history, state)
          return readAllExhausted(transaction, source, periods)
        }
        if (await hasPeriods(transaction, source, ALL)) return null
        return readAllExhausted(transaction, source, null)
      },
      withPeriods ? [...CURRENT, usage] : CURRENT,
    )
    if (covers(positions, heads)) return value
    projector.noticeLoss(positions)
    return null
  }

  #isPeriodEnding(): boolean {
    const end = (this.options.nowMs?.() ?? Date.now()) + CLOCK_TOLERANCE_MS
    return this.keys.values().some(({ resets_at }) => resets_at && Date.parse(resets_at) <= end)
  }
}
