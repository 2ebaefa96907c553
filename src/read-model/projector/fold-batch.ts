import { PayloadError } from '../../events/columns.ts'
import { decodeEvent, UnknownEvent } from '../../events/event.ts'
import { identityOf, readIdentity } from '../../log/read.ts'
import { type FoldableEvent, visitEvents } from '../../log/visit.ts'
import { runInTurns } from '../../platform/async/turns.ts'
import { isStaleCheckpoint } from '../../platform/postgres/errors.ts'
import { isOfNewerCode } from '../../platform/postgres/newer.ts'
import { type Sql, type Transaction, transact } from '../../platform/postgres/pool.ts'
import { contentOf, countPostings, type Entry } from '../projections/entry.ts'
import type { Fold, Projection } from '../projections/projection.ts'
import type { ReadLarge } from '../queries/read-large.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { EntryBatch } from './entry-batch.ts'

/** The log doesn't have what was folded: the database has lost it, or is another one now. */
export class LogLost extends Error {
  override name = 'LogLost'
  override message = 'projector: the log has lost events that were folded; folding from it anew'
}

/** Events that are read behind a large one. */
const FEW_EVENTS = 16

/** Statements that are sent together: more would be written to the connection in one go. */
const AT_ONCE = 8

/** Batches that came before the one they follow; more means that it will not come. */
const MAX_AHEAD = 8

/**
 * What is new in a shard, folded in memory and then written: counters and checkpoints move in one
 * transaction. Killed before the commit: nothing has moved, and the next pass folds the same events
 * again. Killed after: the next pass starts at the new checkpoints.
 *
 * It is fed with what this process appends as it is appended, and reads from the log what it has
 * missed. Both ways lead to the same fold, as an event's text says no more than the event.
 */
export class FoldBatch {
  /** The last event that was folded (or parked). */
  position: number
  /** That event's identity; null while it isn't known. */
  #last: string | null = null
  /** True where it was fed with what doesn't follow that event, but another one at its place. */
  #isLost = false
  /** How many were. */
  events = 0
  /** How many postings they made to an account each. */
  postings = 0
  readonly #folds: Fold[]
  readonly #parked: { position: number; reason: string }[] = []
  #buffered: EntryBatch[] = []
  /** True while it folds a large event part by part. */
  #isInLarge = false
  /** The event that it ends before: newer code has written it, and can fold it. */
  #newerAt: number | null = null
  /** Up to here an event that can't be read is none of newer code. */
  #ownUpTo = -1

  constructor(
    private readonly shard: number,
    private readonly projections: readonly Projection[],
    /** Where it starts, of each projection. */
    readonly checkpoints: readonly Checkpoint[],
    /** Null: here, in one go. */
    private readonly readLarge: ReadLarge | null = null,
  ) {
    this.#folds = projections.map((projection) => projection.createFold())
    this.position = Math.min(...checkpoints.map((checkpoint) => checkpoint.position))
  }

  /** True where the checkpoints are still, or again, where it starts. */
  startsAt(checkpoints: readonly Checkpoint[]): boolean {
    return checkpoints.every(({ generation, position }, i) => {
      const begun = this.checkpoints[i]!
      return begun.generation === generation && begun.position === position
    })
  }

  /** About how many rows it would write. */
  get size(): number {
    return this.#folds.reduce((size, fold) => size + fold.size, 0)
  }

  /** True where it was fed with something that doesn't follow what it has folded. */
  get hasGap(): boolean {
    return this.#buffered.length > 0
  }

  /** True where it ended before an event that only newer code can fold. */
  get isAtNewer(): boolean {
    return this.#newerAt !== null
  }

  /** Folds what was committed just now, once everything before it is. */
  foldAppended(appended: EntryBatch): void {
    if (appended.firstPosition > this.position + 1 || this.#isInLarge) {
      if (this.#buffered.length < MAX_AHEAD) this.#buffered.push(appended)
      return
    }
    const { firstPosition, recordedAt, entries, payloadSha256s, previous } = appended
    const identify = (i: number) =>
      i < 0 ? previous : identityOf({ recordedAt, payloadSha256: payloadSha256s[i]! })
    const known = this.position + 1 - firstPosition
    // Read from the log already, all of it and more.
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
   * Reads and folds what is in the log and was not folded yet, `readEvents` at a time, until there
   * is no more or `isEnough`. True where there may be more. Ends before what newer code has
   * written: parked here, it would be in no number once that code folds on. Throws LogLost where
   * what was folded isn't what the log has before.
   */
  async readFromLog(
    sql: Sql,
    { readEvents, isEnough }: { readEvents: number; isEnough: () => boolean },
  ): Promise<boolean> {
    let limit = readEvents
    for (;;) {
      if (this.#isLost) throw new LogLost()
      const range = { shard: this.shard, after: this.position }
      let last = this.position
      const asked = limit
      const large: FoldableEvent[] = []
      const before = this.#last
      const visit = (stored: FoldableEvent) => {
        if (large.length > 0) return
        last = stored.position
        // What was appended meanwhile may have been folded meanwhile.
        if (last <= this.position || this.isAtNewer) return
        if (stored.payload === null) large.push(stored)
        else this.#foldStored(stored, stored.payload)
      }
      const [events, found] = await Promise.all([
        visitEvents(sql, range, asked, visit, this.readLarge !== null),
        before === null ? null : readIdentity(sql, this.shard, range.after),
      ])
      if (found !== before) throw new LogLost()
      // What was read behind a large one is read again: less of it, as more may follow.
      limit = Math.min(readEvents, large.length > 0 ? FEW_EVENTS : 2 * asked)
      for (const stored of large) await this.#foldLarge(stored)
      if (this.isAtNewer) {
        if (await isOfNewerCode(sql)) return false
        // Nobody can read it. Nor can anybody what else is so far, and that is asked once.
        this.#ownUpTo = last
        this.#newerAt = null
        continue
      }
      this.#foldBuffered()
      if (large.length === 0 && events < asked) return false
      if (isEnough()) return true
    }
  }

  /**
   * Writes what was folded. False where another projector moved a checkpoint meanwhile: then
   * nothing is written. Nor is it, with LogLost, where the log doesn't have the last event that was
   * folded. Each was folded after the one that stood before it: so the log has all of them.
   */
  async write(sql: Sql): Promise<boolean> {
    const { shard, checkpoints, position } = this
    try {
      await transact(sql, '', async (transaction) => {
        const last = this.#last
        const writes = await this.#makeWrites(transaction)
        // Sent together: the first that fails makes the rest fail, and the transaction with them.
        // One that is further on already (the others are new) has folded nothing here and stays.
        const behind = checkpoints.filter((checkpoint) => checkpoint.position < position)
        // As text: so Citus doesn't have the call run on the shard's worker. There, while the shard
        // moves, it would go on to the next worker by a way of its own, and be committed apart from
        // what is written here.
        const moves = behind.map(
          ({ projection, generation, position: from }) => transaction`
            select move_checkpoint(
              ${shard}, ${projection}, ${generation}, ${from}::bigint, ${position}::bigint
            )::text`,
        )
        // Behind them, where the shard is held in its place. Null where nothing was folded.
        const identity = last === null ? null : readIdentity(transaction, shard, position)
        const parkings = this.#parked.map(
          ({ position: at, reason }) => transaction`
            insert into parked_events (shard, position, reason)
            values (${shard}, ${at}, ${reason})
            on conflict (shard, position) do nothing`,
        )
        const rest = writes.splice(AT_ONCE)
        const [found] = await Promise.all([identity, ...moves, ...writes, ...parkings])
        for (const write of rest) await write
        if (found !== last || this.#isLost) throw new LogLost()
      })
      return true
    } catch (error) {
      if (isStaleCheckpoint(error)) return false
      throw error
    }
  }

  /** What writes the folds: statements that haven't begun. */
  async #makeWrites(transaction: Transaction): Promise<Promise<unknown>[]> {
    const { shard, checkpoints, position } = this
    const writes: Promise<unknown>[] = []
    for (const [i, fold] of this.#folds.entries()) {
      const { generation, position: from } = checkpoints[i]!
      if (from >= position) continue
      const steps = fold.write(transaction, { shard, generation, from, position })
      await runInTurns(steps[Symbol.iterator](), (write) => write && writes.push(write))
    }
    return writes
  }

  /** The pass that goes on where this one, once it is written, ends. */
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
    const ahead = this.#buffered.sort((a, b) => a.firstPosition - b.firstPosition)
    this.#buffered = []
    for (const appended of ahead) this.foldAppended(appended)
  }

  #foldStored(stored: FoldableEvent, payload: Uint8Array): void {
    const { type, version, position, recordedAt } = stored
    try {
      const content = contentOf(decodeEvent(type, version, payload), recordedAt)
      this.#fold({ ...content, position, recordedAt })
    } catch (error) {
      if (!this.#park(error, position)) return
    }
    this.#last = identityOf(stored)
  }

  /** As `#foldStored`, part by part: others have their turn between two of them. */
  async #foldLarge(stored: FoldableEvent): Promise<void> {
    const { position, recordedAt } = stored
    // What was appended meanwhile may have been folded meanwhile.
    if (position !== this.position + 1) return
    this.#isInLarge = true
    try {
      for await (const part of this.readLarge!({ ...stored, shard: this.shard })) {
        this.#add({ ...part, position, recordedAt })
      }
      this.#moveTo(position)
    } catch (error) {
      if (!this.#park(error, position)) return
    } finally {
      this.#isInLarge = false
    }
    this.#last = identityOf(stored)
  }

  /** Parks an event that can't be folded; false for one that newer code may be able to fold. */
  #park(error: unknown, position: number): boolean {
    if (!(error instanceof PayloadError)) throw error
    if (error instanceof UnknownEvent && position > this.#ownUpTo) {
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
    this.#folds.forEach((fold, i) => {
      if (entry.position > this.checkpoints[i]!.position) fold.add(entry)
    })
    this.postings += countPostings(entry)
  }

  #moveTo(position: number): void {
    this.position = position
    this.events++
  }
}
