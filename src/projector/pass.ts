import { isStaleCheckpoint } from '../db/errors.ts'
import { type Sql, transact } from '../db/pool.ts'
import { PayloadError } from '../events/columns.ts'
import { decodeEvent, type Event } from '../events/event.ts'
import type { AppendedBatch } from '../log/append.ts'
import { type FoldableEvent, visitEvents } from '../log/read.ts'
import { PROJECTIONS } from '../projections/index.ts'
import type { Fold } from '../projections/projection.ts'
import type { Checkpoint } from './checkpoint.ts'

/** Events of one read of the log; they are folded as they arrive. */
const READ_EVENTS = 5_000

/** Milliseconds of reading after which a pass writes what it has, when it is far behind. */
const PASS_MS = 2_000

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
export class Pass {
  /** The last event that was folded (or parked). */
  position: number
  /** How many were. */
  events = 0
  readonly #folds: Fold[] = PROJECTIONS.map((projection) => projection.createFold())
  readonly #parked: { position: number; reason: string }[] = []
  #ahead: AppendedBatch[] = []

  constructor(
    private readonly shard: number,
    readonly checkpoints: readonly Checkpoint[],
  ) {
    this.position = Math.min(...checkpoints.map((checkpoint) => checkpoint.position))
  }

  /** True where it was fed with something that doesn't follow what it has folded. */
  get isMissingSome(): boolean {
    return this.#ahead.length > 0
  }

  /** Folds what was committed just now, once everything before it is. */
  foldAppended(batch: AppendedBatch): void {
    if (batch.firstPosition > this.position + 1) {
      if (this.#ahead.length < MAX_AHEAD) this.#ahead.push(batch)
      return
    }
    const { firstPosition, recordedAt, events } = batch
    for (let i = this.position + 1 - firstPosition; i < events.length; i++) {
      this.#fold(events[i]!, firstPosition + i, recordedAt)
    }
    if (this.#ahead.length > 0) this.#foldAhead()
  }

  /** Reads and folds what is in the log and was not folded yet, for a bounded time. */
  async readNew(sql: Sql): Promise<void> {
    const started = performance.now()
    let events: number
    do {
      const range = { shard: this.shard, after: this.position }
      events = await visitEvents(sql, range, READ_EVENTS, (stored) => {
        // What was appended meanwhile may have been folded meanwhile.
        if (stored.position > this.position) this.#foldStored(stored)
      })
    } while (events === READ_EVENTS && performance.now() - started < PASS_MS)
    this.#foldAhead()
  }

  /**
   * Writes what was folded. False where another projector moved a checkpoint meanwhile: then
   * nothing is written.
   */
  async write(sql: Sql): Promise<boolean> {
    const { shard, checkpoints, position } = this
    const now = new Date()
    try {
      await transact(sql, '', (transaction) => {
        // Sent together: the first that fails makes the rest fail, and the transaction with them.
        // One that is further on already (the others are new) has folded nothing here and stays.
        const behind = checkpoints.filter((checkpoint) => checkpoint.position < position)
        const moves = behind.map(
          ({ projection, generation, position: from }) => transaction`
            select move_checkpoint(
              ${shard}, ${projection}, ${generation}, ${from}::bigint, ${position}::bigint, ${now}
            )`,
        )
        const writes = this.#folds.flatMap((fold, i) =>
          fold.write(transaction, { shard, generation: checkpoints[i]!.generation }),
        )
        const parkings = this.#parked.map(
          ({ position: at, reason }) => transaction`
            insert into parked_events (shard, position, reason, parked_at)
            values (${shard}, ${at}, ${reason}, ${now})
            on conflict (shard, position) do nothing`,
        )
        return Promise.all([...moves, ...writes, ...parkings])
      })
      return true
    } catch (error) {
      if (isStaleCheckpoint(error)) return false
      throw error
    }
  }

  /** The pass that goes on where this one, once it is written, ends. */
  next(): Pass {
    const { position } = this
    const checkpoints = this.checkpoints.map((checkpoint) =>
      checkpoint.position < position ? { ...checkpoint, position } : checkpoint,
    )
    const pass = new Pass(this.shard, checkpoints)
    pass.#ahead = this.#ahead
    return pass
  }

  #foldAhead(): void {
    const ahead = this.#ahead.sort((a, b) => a.firstPosition - b.firstPosition)
    this.#ahead = []
    for (const batch of ahead) this.foldAppended(batch)
  }

  #foldStored({ type, version, payload, position, recordedAt }: FoldableEvent): void {
    try {
      this.#fold(decodeEvent(type, version, payload), position, recordedAt)
    } catch (error) {
      if (!(error instanceof PayloadError)) throw error
      this.#parked.push({ position, reason: error.message })
      this.#moveTo(position)
    }
  }

  #fold(event: Event, position: number, recordedAt: string): void {
    this.#folds.forEach((fold, i) => {
      if (position > this.checkpoints[i]!.position) fold.add(event, recordedAt)
    })
    this.#moveTo(position)
  }

  #moveTo(position: number): void {
    this.position = position
    this.events++
  }
}
