import { PayloadError } from '../../events/columns.ts'
import { decodeEvent, UnknownEvent } from '../../events/event.ts'
import { identityOf, readIdentity } from '../../log/read.ts'
import { type FoldableEvent, visitEvents } from '../../log/visit.ts'
import { runInTurns } from '../../platform/async/turns.ts'
import { isStaleCheckpoint } from '../../platform/postgres/errors.ts'
import { isOfNewerCode } from '../../platform/postgres/newer.ts'
import { type Sql, transact } from '../../platform/postgres/pool.ts'
import { contentOf, countPostings, type Entry } from '../projections/entry.ts'
import type { Fold, Projection, WriteTarget } from '../projections/projection.ts'
import type { ReadLarge } from '../queries/read-large.ts'
import { BufferedBatches } from './buffered.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { EntryBatch } from './entry-batch.ts'

/**
 * The log does not contain what was folded: the database has lost commits, or is another one now.
 */
export class LogLost extends Error {
  override name = 'LogLost'
  override message = 'projector: the log has lost events that were folded; folding again from it'
}

/** Events to read after a large one. */
const EVENTS_AFTER_LARGE = 16

/** Statements sent together: more would be written to the connection in one go. */
const CONCURRENT_WRITES = 8

/**
 * New events of a shard, folded in memory and then written: counters and checkpoints move in one
 * transaction. If killed before the commit, nothing has moved, and the next batch folds the same
 * events again; if killed after it, the next batch starts at the new checkpoints.
 *
 * This process hands over what it appends, and the batch reads from the log what it has missed.
 * Both paths produce the same fold: an event's text contains no more than the event.
 */
export class FoldBatch {
  /** Position of the last event that was folded or parked. */
  position: number
  /** Identity of that event; null while it is unknown. */
  #last: string | null = null
  /** True if a handed-over batch follows a different event at that position. */
  #isLost = false
  /** Number of events folded or parked. */
  events = 0
  /** Number of their postings to individual accounts. */
  postings = 0
  readonly #folds: Fold[]
  readonly #parked: { position: number; reason: string }[] = []
  #buffered = new BufferedBatches()
  /** True while a large event is folded part by part. */
  #isFoldingLarge = false
  /** An event of a newer release, before which the batch ends. */
  #newerAt: number | null = null
  /** Unreadable events through this position are not from a newer release, so they are parked. */
  #parkThrough = -1

  constructor(
    readonly shard: number,
    private readonly projections: readonly Projection[],
    /** Where the batch starts, for each projection. */
    readonly checkpoints: readonly Checkpoint[],
    /** Reads a large event in parts, off this thread; null decodes it here, in one go. */
    private readonly readLarge: ReadLarge | null = null,
  ) {
    this.#folds = projections.map((projection) => projection.createFold())
    this.position = Math.min(...checkpoints.map((checkpoint) => checkpoint.position))
  }

  /** True if the batch starts at these checkpoints. */
  startsAt(checkpoints: readonly Checkpoint[]): boolean {
    return checkpoints.every(({ generation, position }, i) => {
      const begun = this.checkpoints[i]!
      return begun.generation === generation && begun.position === position
    })
  }

  /** Approximate number of rows that a write would touch. */
  get size(): number {
    return this.#folds.reduce((size, fold) => size + fold.size, 0)
  }

  /** True if events before a handed-over batch are missing. */
  get hasGap(): boolean {
    return this.#buffered.length > 0
  }

  /** True if the batch ended before an event that only a newer release can fold. */
  get isAtNewer(): boolean {
    return this.#newerAt !== null
  }

  /** Folds a batch that was just committed, once everything before it is folded. */
  foldAppended(appended: EntryBatch): void {
    if (appended.firstPosition > this.position + 1 || this.#isFoldingLarge) {
      this.#buffered.add(appended)
      return
    }
    const { firstPosition, recordedAt, entries, payloadSha256s, previous } = appended
    const identify = (i: number) =>
      i < 0 ? previous : identityOf({ recordedAt, payloadSha256: payloadSha256s[i]! })
    const known = this.position + 1 - firstPosition
    // Already read from the log, together with later events.
    if (known > entries.length) return
    if (this.#last !== null && identify(known - 1) !== this.#last) {
      this.#isLost = true
      return
    }
    for (let i = known; i < entries.length; i++) this.#fold(entries[i]!)
    this.#last = identify(entries.length - 1)
    if (this.#buffered.length > 0) this.#foldBuffered()
  }

  /**
   * Reads and folds new events of the log, `readEvents` at a time, until there are no more or
   * `isEnough` returns true. Returns true if there may be more. Ends before an event of a newer
   * release: if it were parked here, no total would contain it after that release takes over.
   * Throws LogLost if the log does not contain what was folded.
   */
  async readFromLog(
    sql: Sql,
    { readEvents, isEnough }: { readEvents: number; isEnough: () => boolean },
  ): Promise<boolean> {
    let limit = readEvents
    for (;;) {
      if (this.#isLost) throw new LogLost()
      const through = this.#buffered.missingThrough
      const range = { shard: this.shard, after: this.position, through }
      let last = this.position
      const requested = limit
      const large: FoldableEvent[] = []
      const before = this.#last
      const visit = (stored: FoldableEvent) => {
        if (large.length > 0) return
        last = stored.position
        // Appends that arrived during the read may already be folded.
        if (last <= this.position || this.isAtNewer) return
        if (stored.payload === null) large.push(stored)
        else this.#foldStored(stored, stored.payload)
      }
      const [events, found] = await Promise.all([
        visitEvents(sql, range, requested, visit, this.readLarge !== null),
        before === null ? null : readIdentity(sql, this.shard, range.after),
      ])
      if (found !== before) throw new LogLost()
      // Events read after a large one are read again: read fewer, as more large ones may follow.
      limit = Math.min(readEvents, large.length > 0 ? EVENTS_AFTER_LARGE : 2 * requested)
      for (const stored of large) await this.#foldLarge(stored)
      if (this.isAtNewer) {
        if (await isOfNewerCode(sql)) return false
        // No release can read it, nor anything else unreadable through `last`. Checked only once.
        this.#parkThrough = last
        this.#newerAt = null
        continue
      }
      this.#foldBuffered()
      // A long read leaves a gap to what was appended meanwhile; the next one is shorter.
      if (events === 0 || (events < requested && large.length === 0 && !this.hasGap)) return false
      if (isEnough()) return true
    }
  }

  /**
   * Writes the fold. Returns false, and writes nothing, if another projector has moved a
   * checkpoint. Throws LogLost, and writes nothing, if the log does not contain the last event that
   * was folded. Each event was folded after the one before it, so this covers all of them.
   */
  async write(sql: Sql): Promise<boolean> {
    const { shard, checkpoints, position } = this
    try {
      await transact(sql, '', async (transaction) => {
        const last = this.#last
        const folds = this.#targets()
        const writes: Promise<unknown>[] = []
        for (const { fold, target } of folds) {
          const steps = fold.write(transaction, target)[Symbol.iterator]()
          await runInTurns(steps, (write) => write && writes.push(write))
        }
        // Sent together: the first to fail makes the rest fail, and the transaction with them. A
        // projection that is already further on (the others are new) has folded nothing here.
        const behind = checkpoints.filter((checkpoint) => checkpoint.position < position)
        // Cast to text so that Citus does not delegate the call to the shard's worker: while the
        // shard is being moved, that worker would forward it, in a separate transaction.
        const moves = behind.map(
          ({ projection, generation, position: after }) => transaction`
            select move_checkpoint(
              ${shard}, ${projection}, ${generation}, ${after}::bigint, ${position}::bigint
            )::text`,
        )
        // Sent after the moves, which hold the shard on its node. Null if nothing was folded.
        const identity = last === null ? null : readIdentity(transaction, shard, position)
        const parkings = this.#parked.map(
          ({ position: at, reason }) => transaction`
            insert into parked_events (shard, position, reason)
            values (${shard}, ${at}, ${reason})
            on conflict (shard, position) do nothing`,
        )
        const rest = writes.splice(CONCURRENT_WRITES)
        const [found] = await Promise.all([identity, ...moves, ...writes, ...parkings])
        for (const write of rest) await write
        for (const { fold, target } of folds) await fold.writeLast?.(transaction, target)
        if (found !== last || this.#isLost) throw new LogLost()
      })
      return true
    } catch (error) {
      if (isStaleCheckpoint(error)) return false
      throw error
    }
  }

  /** Returns the folds that have something to write, and where. */
  #targets(): { fold: Fold; target: WriteTarget }[] {
    const { shard, checkpoints, position } = this
    return this.#folds.flatMap((fold, i) => {
      const { generation, position: after } = checkpoints[i]!
      return after < position ? [{ fold, target: { shard, generation, after, position } }] : []
    })
  }

  /** Returns the batch that continues where this one ends, once it is written. */
  next(): FoldBatch {
    const { position } = this
    const checkpoints = this.checkpoints.map((checkpoint) =>
      checkpoint.position < position ? { ...checkpoint, position } : checkpoint,
    )
    const appended = new FoldBatch(this.shard, this.projections, checkpoints, this.readLarge)
    appended.#last = this.#last
    appended.#buffered = this.#buffered
    return appended
  }

  #foldBuffered(): void {
    for (const appended of this.#buffered.take()) this.foldAppended(appended)
  }

  #foldStored(stored: FoldableEvent, payload: Uint8Array): void {
    const { type, version, position, recordedAt } = stored
    try {
      const content = contentOf(decodeEvent(type, version, payload), recordedAt)
      const { postings, change, act, unknown } = content
      this.#fold({ postings, change, act, unknown, position, recordedAt })
    } catch (error) {
      if (!this.#park(error, position)) return
    }
    this.#last = identityOf(stored)
  }

  /** Like `#foldStored`, but part by part: other work runs between two parts. */
  async #foldLarge(stored: FoldableEvent): Promise<void> {
    const { position, recordedAt } = stored
    // Appends that arrived during the read may already be folded.
    if (position !== this.position + 1) return
    this.#isFoldingLarge = true
    try {
      for await (const part of this.readLarge!({ ...stored, shard: this.shard })) {
        this.#add({ ...part, position, recordedAt })
      }
      this.#moveTo(position)
    } catch (error) {
      if (!this.#park(error, position)) return
    } finally {
      this.#isFoldingLarge = false
    }
    this.#last = identityOf(stored)
  }

  /**
   * Parks an event that can't be folded. Returns false if a newer release may be able to fold it.
   */
  #park(error: unknown, position: number): boolean {
    if (!(error instanceof PayloadError)) throw error
    if (error instanceof UnknownEvent && position > this.#parkThrough) {
      this.#newerAt = position
      return false
    }
    this.#parked.push({ position, reason: error.message })
    this.#moveTo(position)
    return true
  }

  #fold(entry: Entry): void {
    this.#add(entry)
    this.#moveTo(entry.position)
  }

  #add(entry: Entry): void {
    for (let i = 0; i < this.#folds.length; i++) {
      if (entry.position > this.checkpoints[i]!.position) this.#folds[i]!.add(entry)
    }
    this.postings += countPostings(entry)
  }

  #moveTo(position: number): void {
    this.position = position
    this.events++
  }
}
