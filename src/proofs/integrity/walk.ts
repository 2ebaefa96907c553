import type { LastDecisions } from '../../events/act.ts'
import { type Event, type StoredEvent, tryDecodeEvent } from '../../events/event.ts'
import { openWindow } from '../../log/archived.ts'
import { readHead, readRecordedAt } from '../../log/read.ts'
import { type FoldableEvent, toFoldable, visitEvents } from '../../log/visit.ts'
import { runInTurns } from '../../platform/async/turns.ts'
import { type Sql, type Transaction, transact } from '../../platform/postgres/pool.ts'
import { ifStillLive, type LiveCheckpoint, readLiveCheckpoints } from './checkpoints.ts'
import { type Chunk, LIMITS, nextChunk } from './chunk.ts'
import { checkEvents } from './events.ts'
import type { ProjectionGroup, Targets } from './groups/group.ts'
import { CHECKED_PROJECTIONS, createGroups } from './groups/index.ts'
import { type KeyHash, noteIdempotencyKeys, noteKeyHashes, readKeyHashes } from './idempotency.ts'
import type { Problems } from './problem.ts'
import { RecordedRows } from './recorded-rows.ts'
import { readLastDecisions } from './shards.ts'
import { checkThin } from './thin.ts'

/** The events of a chunk that was read from the archive; null if they are in the database. */
type Events = readonly StoredEvent[] | null

/** Events that the last transaction of a shard may still fold: about 0.1 s of its snapshot. */
const FEW_EVENTS = 2_000

/**
 * The walk over one shard, from its first event. It checks the events up to a head, and folds each
 * projection group up to its checkpoint. Each chunk is a transaction of its own, so no snapshot is
 * held for long and vacuum is not delayed.
 */
export class Walk {
  /** Positions of the last catalog change and the last act among the checked events. */
  last: LastDecisions = { change: -1, act: -1 }
  /** The position through which each group is folded here. */
  readonly folded: Map<ProjectionGroup, number>
  /** The reasons why events cannot be read, by position. */
  readonly unreadable = new Map<number, string>()
  /** Null of other shards than 0. */
  readonly recorded: RecordedRows | null
  #checkpoints = new Map<string, LiveCheckpoint>()
  #head = -1
  /** When the event before the next chunk was recorded, if that one was in the archive. */
  #previousAt: string | null = null

  constructor(
    private readonly sql: Sql,
    readonly shard: number,
    private readonly context: { problems: Problems; signal: AbortSignal },
  ) {
    this.folded = new Map(createGroups(shard).map((group) => [group, -1]))
    this.recorded = shard === 0 ? new RecordedRows() : null
  }

  /** Checks every event up to `head`, and reports the size of each chunk after it. */
  async check(head: number, onChecked: (events: number) => void): Promise<void> {
    const { sql, shard } = this
    const { signal } = this.context
    await this.#readCheckpoints(sql)
    for (let after = -1; after < head; ) {
      signal.throwIfAborted()
      const limit = Math.min(head, await this.#nextEnd(sql, after))
      const window = await openWindow(sql, { shard, after, through: limit }, LIMITS.events)
      const { events } = window
      const chunk =
        events === null
          ? await nextChunk(sql, shard, after, window.through)
          : { shard, after, through: window.through }
      // The chunk before this one may have been in the database.
      if (events !== null && after >= 0) {
        this.#previousAt ??= await readRecordedAt(sql, shard, after)
      }
      const keys =
        events === null ? null : await window.read((file) => this.#checkFile(file, chunk))
      await transact(sql, '', async (transaction) => {
        if (keys !== null) await noteKeyHashes(transaction, shard, keys)
        else {
          await this.#check(transaction, chunk, true)
          await noteIdempotencyKeys(transaction, chunk)
        }
        await this.#fold(transaction, chunk, events)
      })
      // The next chunk may not be where this one was read.
      this.#previousAt = events?.at(-1)?.recordedAt ?? null
      onChecked(chunk.through - after)
      after = chunk.through
    }
  }

  /** Checks the events of a chunk in the archive. Returns their idempotency keys. */
  async #checkFile(file: Sql | Transaction, chunk: Chunk): Promise<KeyHash[]> {
    await this.#check(file, chunk, false)
    this.context.problems.add(await checkThin(this.sql, file, chunk))
    return readKeyHashes(file, chunk)
  }

  /** Checks the events of a chunk where they are. */
  async #check(source: Sql | Transaction, chunk: Chunk, prepare: boolean): Promise<void> {
    const { problems } = this.context
    const previousAt = this.#previousAt
    problems.add(await checkEvents(source, chunk, { previousAt, prepare }))
    if (this.shard === 0) {
      const { change, act } = await readLastDecisions(source, chunk)
      this.last = {
        change: Math.max(this.last.change, change),
        act: Math.max(this.last.act, act),
      }
    }
    await this.recorded?.add(source, chunk.through)
  }

  /**
   * Folds until the checkpoints are at most FEW_EVENTS ahead. Gives up if they advance as fast as
   * it folds; the last transaction then takes longer.
   */
  async catchUp(): Promise<void> {
    let before = Number.POSITIVE_INFINITY
    for (;;) {
      await this.#readCheckpoints(this.sql)
      const missing = Math.max(...[...this.folded].map(([group, at]) => this.goalOf(group) - at))
      if (missing <= FEW_EVENTS || missing > before * 0.8) return
      before = missing
      for (;;) {
        this.context.signal.throwIfAborted()
        const chunk = await this.#nextMissing(this.sql)
        if (chunk === null) break
        await transact(this.sql, '', (transaction) => this.#fold(transaction, chunk))
      }
    }
  }

  /** Folds up to the checkpoints in the transaction's snapshot, and returns these checkpoints. */
  async finish(transaction: Transaction): Promise<ReadonlyMap<string, LiveCheckpoint>> {
    await this.#readCheckpoints(transaction)
    for (;;) {
      const chunk = await this.#nextMissing(transaction)
      if (chunk === null) return this.#checkpoints
      await this.#fold(transaction, chunk)
    }
  }

  /**
   * Folds one group through `position`, wherever its checkpoints are. Compares nothing on the way:
   * after a checkpoint no row is settled.
   */
  async extend(transaction: Transaction, group: ProjectionGroup, position: number): Promise<void> {
    for (let after = this.folded.get(group)!; after < position; ) {
      const chunk = await nextChunk(transaction, this.shard, after, position)
      await this.#addChunk(transaction, [group], chunk)
      after = chunk.through
    }
  }

  /** Returns the live rows of a group's projections, except those without a live checkpoint. */
  targetsOf({ projections }: ProjectionGroup): Targets {
    return new Map(
      projections.flatMap(({ projection }) => {
        const checkpoint = this.#checkpoints.get(projection)
        if (checkpoint === undefined) return []
        return [[projection, { shard: this.shard, generation: checkpoint.generation }] as const]
      }),
    )
  }

  /**
   * Returns a group's furthest checkpoint that is not ahead of the log. If all of them are ahead,
   * the log has lost events or the checkpoints are wrong: returns the head, where most rows match.
   */
  goalOf({ projections }: ProjectionGroup): number {
    const positions = projections.flatMap(
      ({ projection }) => this.#checkpoints.get(projection)?.position ?? [],
    )
    const inLog = positions.filter((position) => position <= this.#head)
    return inLog.length > 0 || positions.length === 0 ? Math.max(-1, ...inLog) : this.#head
  }

  /** The last position of the shard when the checkpoints were read. */
  get head(): number {
    return this.#head
  }

  async #readCheckpoints(sql: Sql | Transaction): Promise<void> {
    this.#checkpoints = await readLiveCheckpoints(sql, this.shard, CHECKED_PROJECTIONS)
    this.#head = await readHead(sql, this.shard)
  }

  /** Returns the first chunk that a group has yet to fold; null if there is none. */
  async #nextMissing(sql: Sql | Transaction): Promise<Chunk | null> {
    const behind = [...this.folded].filter(([group, at]) => at < this.goalOf(group))
    if (behind.length === 0) return null
    const after = Math.min(...behind.map(([, at]) => at))
    return nextChunk(sql, this.shard, after, await this.#nextEnd(sql, after))
  }

  /** Returns the last end of a chunk after `after` that each group folds whole or not at all. */
  async #nextEnd(sql: Sql | Transaction, after: number): Promise<number> {
    const ends = [...this.folded].flatMap(([group, at]) => [at, this.goalOf(group)])
    for (const group of this.folded.keys()) {
      const stop = await group.nextStop?.(sql, this.targetsOf(group), after)
      if (stop != null) ends.push(stop)
    }
    return Math.min(...ends.filter((end) => end > after))
  }

  /** Adds a chunk to the groups that are folded exactly up to it and must fold all of it. */
  async #fold(transaction: Transaction, chunk: Chunk, events: Events = null): Promise<void> {
    const groups = [...this.folded]
      .filter(([group, at]) => at === chunk.after && this.goalOf(group) >= chunk.through)
      .map(([group]) => group)
    await this.#foldInto(transaction, groups, chunk, events)
  }

  async #foldInto(
    transaction: Transaction,
    groups: readonly ProjectionGroup[],
    chunk: Chunk,
    events: Events,
  ): Promise<void> {
    if (groups.length === 0) return
    await this.#addChunk(transaction, groups, chunk, events)
    for (const group of groups) {
      const targets = this.targetsOf(group)
      const settled = (await group.compareSettled?.(transaction, targets, chunk.through)) ?? []
      for (const { projection, problems } of settled) {
        const target = targets.get(projection)
        if (target === undefined) continue
        const { generation } = target
        this.context.problems.add(await ifStillLive(transaction, projection, generation, problems))
      }
    }
  }

  async #addChunk(
    transaction: Transaction,
    groups: readonly ProjectionGroup[],
    { shard, after, through }: Chunk,
    events: Events = null,
  ): Promise<void> {
    const visit = (stored: FoldableEvent) => {
      const { position, recordedAt } = stored
      // If positions are missing, the same number of rows reaches further. An event without a time
      // (PostgreSQL's infinity) counts nowhere; the check of its leaf reports it.
      if (position > through || recordedAt === '') return
      const event = this.#read(stored)
      for (const group of groups) group.add(event, position, recordedAt)
    }
    if (events === null) await visitEvents(transaction, { shard, after }, through - after, visit)
    else await runInTurns(events.values(), (stored) => visit(toFoldable(stored)))
    for (const group of groups) this.folded.set(group, through)
  }

  /** Returns null for an event that cannot be read. It counts nothing, and the service parks it. */
  #read({ type, version, payload, position }: FoldableEvent): Event | null {
    return tryDecodeEvent({ type, version, payload: payload! }, ({ message }) =>
      this.unreadable.set(position, message),
    )
  }
}
