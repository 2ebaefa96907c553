import { PayloadError } from '../../events/columns.ts'
import { decodeEvent } from '../../events/event.ts'
import { type UnknownKind, unknownOf } from '../../events/unknown.ts'
import { openWindow } from '../../log/archived.ts'
import { readIdentity } from '../../log/read.ts'
import { type FoldableEvent, visitEvents } from '../../log/visit.ts'
import { TemporarilyUnavailable } from '../../platform/postgres/errors.ts'
import { inSnapshot, type Sql, type Transaction } from '../../platform/postgres/pool.ts'
import { type Used, UsedSums } from './used.ts'

/** The flushes that earlier adoptions of a name cover: through a position, or until a time. */
export type Covered = { through: number; until: string }

/** Names to look for in the flushes of a shard, because some shard does not keep them apart. */
export type ScanRequest = {
  shard: number
  kind: UnknownKind
  names: ReadonlyMap<string, Covered>
  /** The position after which the first flush may name one of them. */
  after: number
  /** The positions of reversed flushes. */
  reversed: ReadonlySet<number>
}

/** The most that a step reads: some tenths of a second, unless a single event is larger. */
const STEP = { events: 5_000, bytes: 16 * 1024 * 1024 }

/**
 * Sums what flushes posted under names, and no adoption has covered. It reads the log in steps, and
 * between two of them it may pause for as long as it likes.
 */
export class LogScan {
  #sums = new UsedSums()
  #through: number
  /** The identity of the event at `#through`; null before the first step. */
  #identity: string | null = null
  /** False from the beginning of a step to its end: if it fails, the sums have a part of it. */
  #isWhole = true

  constructor(private request: ScanRequest) {
    this.#through = request.after
  }

  get shard(): number {
    return this.request.shard
  }

  get kind(): UnknownKind {
    return this.request.kind
  }

  /** The number of events through a position that it has not read. */
  countLeft(position: number): number {
    return Math.max(0, position - this.#through)
  }

  /** The number of names to look for. */
  get names(): number {
    return this.request.names.size
  }

  /** The number of names and quarter hours found so far. */
  get found(): number {
    return this.#sums.size
  }

  /** Takes over a request, if what has been read so far is what it asks for. */
  tryResume(request: ScanRequest): boolean {
    const { shard, kind, names, after, reversed } = this.request
    const isSame =
      this.#isWhole &&
      shard === request.shard &&
      kind === request.kind &&
      after === request.after &&
      names.size === request.names.size &&
      Bun.deepEquals(names, request.names) &&
      // A flush that was read may have been reversed since.
      [...request.reversed].every((at) => at > this.#through || reversed.has(at))
    if (isSame) this.request = request
    return isSame
  }

  /**
   * Reads the next events, at most through `end`. Throws TemporarilyUnavailable if the log has lost
   * what was read before: the scan can't be resumed then.
   */
  async readStep(sql: Sql | Transaction, end: number): Promise<void> {
    this.#isWhole = false
    await inSnapshot(sql, async (transaction) => {
      const { shard } = this.request
      const after = this.#through
      const before = this.#identity === null ? null : await readIdentity(transaction, shard, after)
      if (before !== this.#identity || after > end) throw logChanged()
      if (after === end) return
      const last = await readEndOfStep(transaction, shard, { after, end })
      const visit = (stored: FoldableEvent) => this.#visit(stored)
      const events = await visitEvents(transaction, { shard, after }, last - after, visit)
      if (events < last - after) throw logChanged()
      this.#identity = await readIdentity(transaction, shard, last)
      this.#through = last
    })
    this.#isWhole = true
  }

  toRows(): Used[] {
    return this.#sums.toRows()
  }

  /** Leaves out what an adoption of names has taken, through the end of the scan. */
  leaveOut(adopted: ReadonlySet<string>): void {
    const through = this.#through
    const names = Array.from(this.request.names, ([name, covered]) => {
      return [name, adopted.has(name) ? { ...covered, through } : covered] as const
    })
    this.request = { ...this.request, names: new Map(names) }
    this.#sums = new UsedSums()
  }

  #visit(stored: FoldableEvent): void {
    const { kind, names, reversed } = this.request
    if (stored.type !== TYPES[kind] || reversed.has(stored.position)) return
    const { position } = stored
    for (const { times, requests, seconds, accesses, details, ...entries } of readUnknown(stored)) {
      // A flush has one time for all of its entries.
      const flush = { position, at: times as string }
      for (const [i, name] of entries.names.entries()) {
        const covered = names.get(name)
        if (covered === undefined || isCovered(covered, stored)) continue
        const index = details?.combination[i] ?? null
        this.#sums.add(name, flush, {
          ...{ requests: requests[i]!, seconds: seconds[i]!, accessed: accesses?.[i] ?? 0 },
          combination: index === null ? null : details!.combinations[index]!,
          ...{ measures: details ?? NO_MEASURES, i },
        })
      }
    }
  }
}

const NO_MEASURES = { measures: [] }

const TYPES = { api_key: 'ApiKeyStatsFlushed', key: 'KeyStatsFlushed' } as const

/** Returns the position of the last event of a step; there is one in an intact log. */
async function readEndOfStep(
  transaction: Transaction,
  shard: number,
  { after, end }: { after: number; end: number },
): Promise<number> {
  const window = await openWindow(transaction, { shard, after, through: end }, STEP.events)
  // The size of a stored payload is known without fetching it.
  const [row] = await window.read(
    (source) => source<{ last: string | null }[]>`
      select max(s.position) as last
      from (
        select e.position, sum(pg_column_size(e.payload)) over (order by e.position) as bytes
        from events e
        where e.shard = ${shard} and e.position > ${after} and e.position <= ${window.through}
        order by e.position
        limit ${STEP.events}
      ) s
      where s.bytes <= ${STEP.bytes} or s.position = ${after + 1}`,
  )
  if (row!.last === null) throw logChanged()
  return Number(row!.last)
}

const logChanged = () =>
  new TemporarilyUnavailable('log changed', 1, 'The log has lost events. Retry.')

const isCovered = ({ through, until }: Covered, { position, recordedAt }: FoldableEvent) =>
  position <= through || recordedAt <= until

/** Returns nothing for an event that can't be folded: it was parked. */
function readUnknown({ type, version, payload, recordedAt }: FoldableEvent) {
  try {
    return unknownOf(decodeEvent(type, version, payload!), recordedAt)
  } catch (error) {
    if (error instanceof PayloadError) return []
    throw error
  }
}
