import { readHeads } from '../../log/read.ts'
import type { Sql } from '../../platform/postgres/pool.ts'
import type { Projection } from '../projections/projection.ts'
import { snapshots } from '../projections/snapshots.ts'
import { GROUPS, type ProjectionGroup } from '../projector/projection-groups.ts'
import { type OnBatch, ShardFold } from '../projector/shard-fold.ts'
import type { Differences } from './compare.ts'
import {
  abandonGenerations,
  beginGenerations,
  type Generation,
  sweepGenerations,
} from './generation.ts'
import { noteDrift, noteProgress, type RebuildState } from './record.ts'
import { catchUp, compareGenerations, replaceLive } from './replace.ts'

/** Events that a generation may be behind when it is compared: milliseconds of folding. */
const NEAR_EVENTS = 5_000

/** Milliseconds between two signs of life. */
const HEARTBEAT_INTERVAL_MS = 1_000

/** Milliseconds that a replaced generation is waited for: no read of the service takes longer. */
const SWEEP_MS = 90_000
const SWEEP_AGAIN_MS = 250

export type RebuildOptions = {
  owner: Sql
  /** Two connections at least. */
  project: Sql
  projections: readonly Projection[]
  /** Only those that older code has made; see `beginGenerations`. */
  onlyChanged?: boolean
  signal: AbortSignal
  onProgress(progress: { state: RebuildState; folded: number; total: number }): void
}

/** What became of each projection; `differences` is null where another version had made it. */
export type Rebuilt = { projection: string; generation: number; differences: Differences | null }

/**
 * Folds new generations of projections from the first event on, beside the live ones, compares them
 * and makes them live. Gives instead the names of those that another process is rebuilding.
 *
 * Interrupted or failed, what is not live yet is taken away; killed, the next rebuild does that.
 */
export async function rebuild(
  options: RebuildOptions,
): Promise<{ rebuilt: Rebuilt[] } | { underWay: string[] }> {
  const { owner, projections, onlyChanged } = options
  const begun = await beginGenerations(owner, projections, onlyChanged)
  if (!Array.isArray(begun)) return begun
  const run = new Run(options, begun)
  try {
    const rebuilt = await run.all()
    await sweepUntilClean(owner)
    return { rebuilt }
  } catch (error) {
    const reason = options.signal.aborted ? 'it was interrupted' : String(error)
    await abandonGenerations(owner, begun, reason)
    throw error
  } finally {
    run.end()
  }
}

class Run {
  #state: RebuildState = 'folding'
  #folded = 0
  #total = 0
  readonly #heartbeats: ReturnType<typeof setInterval>

  constructor(
    private readonly options: RebuildOptions,
    private readonly generations: readonly Generation[],
  ) {
    this.#heartbeats = setInterval(() => this.#sendHeartbeat(), HEARTBEAT_INTERVAL_MS)
  }

  end(): void {
    clearInterval(this.#heartbeats)
  }

  async all(): Promise<Rebuilt[]> {
    const groups = GROUPS.map(({ projections, make }) => ({
      make,
      generations: this.generations.filter(({ projection }) => projections.includes(projection)),
    })).filter(({ generations }) => generations.length > 0)
    const heads = await readHeads(this.options.owner)
    const events = heads.reduce((sum, head) => sum + head + 1, 0)
    this.#total = groups.length * events
    const rebuilt: Rebuilt[] = []
    for (const [i, { make, generations }] of groups.entries()) {
      const folds = heads.map((_, shard) => this.#startFold(shard, make(shard), generations))
      this.#enter('folding')
      await this.#foldNear(generations, folds)
      // However many passes that took, and where the live generation stood.
      this.#folded = (i + 1) * events
      rebuilt.push(...(await this.#replace(generations, folds)))
    }
    return rebuilt
  }

  /** Folds until the live generations are hardly further. */
  async #foldNear(generations: readonly Generation[], folds: readonly ShardFold[]): Promise<void> {
    const { owner, signal } = this.options
    for (let events = Number.POSITIVE_INFINITY; events > NEAR_EVENTS; ) {
      const before = this.#folded
      if (generations.some(isSnapshotsOfOtherCode)) {
        const heads = await readHeads(owner)
        for (const fold of folds)
          await fold.foldFullBatches(heads[fold.shard]!, this.#onBatch, signal)
      } else await catchUp(owner, generations, folds, this.#onBatch, signal)
      events = this.#folded - before
    }
  }

  async #replace(
    generations: readonly Generation[],
    folds: readonly ShardFold[],
  ): Promise<Rebuilt[]> {
    const { owner, project, signal } = this.options
    let found: (Differences | null)[] = []
    if (generations.some(({ isComparable }) => isComparable)) {
      this.#enter('comparing')
      found = await compareGenerations(project, generations, folds, this.#onBatch, signal)
      for (const [i, { projection, generation }] of generations.entries()) {
        const differences = found[i]
        if (differences) await noteDrift(owner, projection.name, generation, differences)
      }
    }
    await replaceLive(owner, generations, folds, this.#onBatch, signal)
    return generations.map(({ projection, generation }, i) => ({
      ...{ projection: projection.name, generation, differences: found[i] ?? null },
    }))
  }

  #startFold(shard: number, group: ProjectionGroup, generations: readonly Generation[]): ShardFold {
    const projections = generations.map(({ projection }) => projection)
    const checkpoints = generations.map(({ projection, generation }) => ({
      ...{ projection: projection.name, generation, position: -1 },
    }))
    return new ShardFold(this.options.project, shard, { ...group, projections }, checkpoints)
  }

  readonly #onBatch: OnBatch = (events) => {
    this.#folded += events
    this.#reportProgress()
  }

  #enter(state: RebuildState): void {
    this.#state = state
    this.#reportProgress()
  }

  #reportProgress(): void {
    const total = Math.max(this.#total, this.#folded)
    this.options.onProgress({ state: this.#state, folded: this.#folded, total })
  }

  /** One that can't be given is made up for by the next. */
  #sendHeartbeat(): void {
    const progress = {
      state: this.#state,
      eventsFolded: this.#folded,
      eventsTotal: Math.max(this.#total, this.#folded),
    }
    const rebuilds = this.generations.map(({ projection: { name }, generation }) => ({
      ...{ projection: name, generation },
    }))
    noteProgress(this.options.owner, rebuilds, progress).catch(() => {})
  }
}

/** Nothing says where these were made: they are made where they are due. */
const isSnapshotsOfOtherCode = ({ projection, isComparable }: Generation) =>
  projection === snapshots && !isComparable

/** Waits until nobody can read what was replaced, and takes it away; else the next start does. */
async function sweepUntilClean(owner: Sql): Promise<void> {
  const until = performance.now() + SWEEP_MS
  while (!(await sweepGenerations(owner)) && performance.now() < until) {
    await Bun.sleep(SWEEP_AGAIN_MS)
  }
}
