import type { AccountKind } from '../../events/accounts.ts'
import { PayloadError } from '../../events/columns.ts'
import { decodeEvent, mayPostTo, UnknownEvent } from '../../events/event.ts'
import type { Postings } from '../../events/postings.ts'
import { type FoldableEvent, visitEvents } from '../../log/visit.ts'
import { TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import { isOfNewerCode } from '../../platform/postgres/newer.ts'
import type { Fragment, Transaction } from '../../platform/postgres/pool.ts'
import { type Content, contentOf } from '../projections/entry.ts'
import type { ReadLarge } from './read-large.ts'
import { TooManyEvents } from './usage-by.ts'

/** Events of one shard, after `after` through `through`. */
type Range = { shard: number; after: number; through: number }

/** Counts only the events that meet a condition on `e`, at most so many. */
type Bound = { condition: Fragment; maxEvents: number }

/** Passes the postings of events of the log to accounts of one kind. */
export class EventCounter {
  #isUnread = false

  constructor(
    private readonly transaction: Transaction,
    private readonly kind: AccountKind,
    private readonly count: (postings: Postings, isAct: boolean) => void,
    private readonly readLarge: ReadLarge | null,
  ) {}

  /**
   * Passes on what the events of a range posted, in any order. Throws TooManyEvents if there are
   * more than a bound allows.
   */
  async countRange({ shard, after, through }: Range, bound: Bound | null = null): Promise<void> {
    const events = through - after
    if (events <= 0) return
    const { transaction, kind, readLarge } = this
    const large: FoldableEvent[] = []
    const visit = (stored: FoldableEvent) => {
      if (!mayPostTo(stored.type, kind)) return
      if (stored.payload === null) return void large.push(stored)
      try {
        this.#add(
          contentOf(decodeEvent(stored.type, stored.version, stored.payload), stored.recordedAt),
        )
      } catch (error) {
        this.#skip(error)
      }
    }
    const isSplit = readLarge !== null
    const limit = bound === null ? events : bound.maxEvents + 1
    const range = { shard, after, through }
    const visited = await visitEvents(transaction, range, limit, visit, isSplit, bound?.condition)
    if (bound !== null && visited === limit) throw new TooManyEvents()
    if (bound === null && visited < events)
      throw new TemporarilyUnavailable('log changed', 1, 'The log has lost events. Retry.')
    for (const { position, payloadSha256, recordedAt } of large) {
      try {
        const parts = readLarge!({ shard, position, recordedAt, payloadSha256 })
        for await (const part of parts) this.#add(part)
      } catch (error) {
        this.#skip(error)
      }
    }
  }

  /** Must be called at the end. Throws if only a newer release can read some of the events. */
  async end(): Promise<void> {
    if (!this.#isUnread || !(await isOfNewerCode(this.transaction))) return
    const detail =
      'Only a newer version of the service can read these events. Ask an upgraded instance.'
    throw new TemporarilyUnavailable('newer events', 60, detail)
  }

  #add({ postings, act }: Content): void {
    for (const some of postings) if (some.kind === this.kind) this.count(some, act !== null)
  }

  /**
   * Skips an event that can't be folded: the projections have parked it, or its type is unknown.
   */
  #skip(error: unknown): void {
    if (error instanceof UnknownEvent) this.#isUnread = true
    if (!(error instanceof PayloadError)) throw error
  }
}
