import { type Sql, type Transaction, transact } from '../../platform/postgres/pool.ts'
import { readStandings, type Standing, whileLive } from './checkpoints.ts'
import { type Chunk, nextChunk } from './chunk.ts'
import { checkEvents } from './events.ts'
import { noteIdempotencyKeys } from './idempotency.ts'
import { loadChunk } from './load-chunk.ts'
import type { Problems } from './problem.ts'
import { emptyRefold, foldChunk, type Refold } from './refold.ts'
import { readLastChange } from './shards.ts'

/** Events that the last transaction of a shard may have to fold: some 0.2 s of a snapshot. */
const FEW_EVENTS = 2_000

/**
 * The walk over one shard, from its first event on: checks the events up to a head, and folds each
 * projection anew as far as its checkpoint is. A chunk is a transaction of its own, so no snapshot
 * is held for long and vacuum goes on beside it.
 */
export class Walk {
  /** Position of the last change of the catalog among the events that were checked. */
  lastChange = -1
  /** How far each projection is folded here. */
  readonly folded: Map<Refold, number>
  #standings = new Map<string, Standing>()

  constructor(
    private readonly sql: Sql,
    readonly shard: number,
    private readonly of: { refolds: readonly Refold[]; problems: Problems; signal: AbortSignal },
  ) {
    this.folded = new Map(of.refolds.map((refold) => [refold, -1]))
  }

  /** Checks every event up to `head`; tells after each chunk how many there were. */
  async check(head: number, onChecked: (events: number) => void): Promise<void> {
    const { sql, shard } = this
    for (const refold of this.of.refolds) await emptyRefold(sql, refold)
    this.#standings = await readStandings(sql, shard, this.of.refolds)
    for (let after = -1; after < head; ) {
      this.of.signal.throwIfAborted()
      const limit = Math.min(head, await this.#nextEnd(sql, after))
      const chunk = await nextChunk(sql, shard, after, limit)
      await transact(sql, '', async (transaction) => {
        this.of.problems.add(await checkEvents(transaction, chunk))
        await noteIdempotencyKeys(transaction, chunk)
        if (shard === 0) await this.#noteLastChange(transaction, chunk)
        await this.#fold(transaction, chunk)
        await this.#close(transaction)
      })
      onChecked(chunk.through - after)
      after = chunk.through
    }
  }

  /**
   * Folds on until little is missing to where the checkpoints are now. Gives up where they run
   * ahead as fast as this follows: then the last transaction takes longer.
   */
  async follow(): Promise<void> {
    let before = Number.POSITIVE_INFINITY
    for (;;) {
      this.#standings = await readStandings(this.sql, this.shard, this.of.refolds)
      const missing = Math.max(...[...this.folded].map(([refold, at]) => this.#goalOf(refold) - at))
      if (missing <= FEW_EVENTS || missing > before * 0.8) return
      before = missing
      for (;;) {
        this.of.signal.throwIfAborted()
        const chunk = await this.#nextMissing(this.sql)
        if (chunk === null) break
        await transact(this.sql, '', async (transaction) => {
          await this.#fold(transaction, chunk)
          await this.#close(transaction)
        })
      }
    }
  }

  /** Folds what is missing to the checkpoints of this transaction's snapshot. */
  async finish(transaction: Transaction): Promise<ReadonlyMap<string, Standing>> {
    this.#standings = await readStandings(transaction, this.shard, this.of.refolds)
    await this.#foldMissing(transaction)
    return this.#standings
  }

  /** Folds one projection on to `position`, wherever its checkpoint says that it is. */
  async extend(transaction: Transaction, refold: Refold, position: number): Promise<void> {
    const standing = this.#standings.get(refold.projection)
    if (!standing) return
    this.#standings = new Map([[refold.projection, { ...standing, position }]])
    await this.#foldMissing(transaction)
  }

  /** Where a projection's rows are. Null where it has no checkpoint. */
  targetOf(refold: Refold): { shard: number; generation: number } | null {
    const standing = this.#standings.get(refold.projection)
    return standing ? { shard: this.shard, generation: standing.generation } : null
  }

  async #foldMissing(transaction: Transaction): Promise<void> {
    for (;;) {
      const chunk = await this.#nextMissing(transaction)
      if (chunk === null) return
      await this.#fold(transaction, chunk)
    }
  }

  #goalOf(refold: Refold): number {
    return this.#standings.get(refold.projection)?.position ?? -1
  }

  /** The first chunk that some projection is missing; null where there is none. */
  async #nextMissing(sql: Sql | Transaction): Promise<Chunk | null> {
    const behind = [...this.folded].filter(([refold, at]) => at < this.#goalOf(refold))
    if (behind.length === 0) return null
    const after = Math.min(...behind.map(([, at]) => at))
    return nextChunk(sql, this.shard, after, await this.#nextEnd(sql, after))
  }

  /** Where a chunk behind `after` must end: each projection folds it whole or not at all. */
  async #nextEnd(sql: Sql | Transaction, after: number): Promise<number> {
    const ends = [...this.folded].flatMap(([refold, at]) => [at, this.#goalOf(refold)])
    for (const refold of this.of.refolds) {
      const target = this.targetOf(refold)
      const stop = target && (await refold.nextStop?.(sql, target, after))
      if (stop != null) ends.push(stop)
    }
    return Math.min(...ends.filter((end) => end > after))
  }

  /** Loads a chunk, and adds it to the projections that are just before it. */
  async #fold(transaction: Transaction, chunk: Chunk): Promise<void> {
    this.of.problems.add(await loadChunk(transaction, chunk))
    for (const [refold, at] of this.folded) {
      if (at !== chunk.after || this.#goalOf(refold) < chunk.through) continue
      await foldChunk(transaction, refold)
      this.folded.set(refold, chunk.through)
      const target = this.targetOf(refold)
      if (target === null || !refold.nextStop || !refold.compareAt) continue
      if ((await refold.nextStop(transaction, target, chunk.after)) !== chunk.through) continue
      const found = await refold.compareAt(transaction, target, chunk.through)
      this.of.problems.add(
        await whileLive(transaction, refold.projection, target.generation, found),
      )
    }
  }

  async #close(transaction: Transaction): Promise<void> {
    for (const refold of this.of.refolds) await refold.close?.(transaction)
  }

  async #noteLastChange(transaction: Transaction, chunk: Chunk): Promise<void> {
    this.lastChange = Math.max(this.lastChange, await readLastChange(transaction, chunk))
  }
}
