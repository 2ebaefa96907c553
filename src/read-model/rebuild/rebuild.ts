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
import { type Align, catchUp, compareGenerations, replaceLive } from './replace.ts'

/** Events by which a generation may be behind when it is compared: milliseconds of folding. */
const NEAR_EVENTS = 5_000

/** Interval (ms) between heartbeats. */
const HEARTBEAT_INTERVAL_MS = 1_000

/**
 * How long (ms) to wait for readers of a replaced generation: no read of the service takes longer.
 */
const SWEEP_MS = 90_000
const SWEEP_AGAIN_MS = 250

export type RebuildOptions = {
  owner: Sql
  /** Needs at least two connections. */
  project: Sql
  projections: readonly Projection[]
  /** Rebuild only projections that an older release built; see `beginGenerations`. */
  onlyChanged?: boolean
  /** Called before each projection is compared; null, the default, if there is nothing to do. */
  align?: Align | null
  signal: AbortSignal
  onProgress(progress: { state: RebuildState; folded: number; total: number }): void
}

/**
 * A projection that was rebuilt; `differences` is null if another fold version made the live
 * generation.
 */
export type Rebuilt = { projection: string; generation: number; differences: Differences | null }

/**
 * Folds new generations of projections from the first event while the live ones stay in use,
 * compares both, and makes the new ones live. If another process is rebuilding any of them, returns
 * their names instead.
 *
 * After an interruption or an error, generations that are not live are dropped; after a kill, the
 * next rebuild drops them.
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
      // The exact total, however many batches it took and wherever the live generation was.
      this.#folded = (i + 1) * events
      rebuilt.push(...(await this.#replace(generations, folds)))
    }
    return rebuilt
  }

  /** Folds in rounds, until one round has folded at most NEAR_EVENTS. */
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
    const { owner, project, signal, align = null } = this.options
    let found: (Differences | null)[] = []
    if (generations.some(({ isComparable }) => isComparable)) {
      this.#enter('comparing')
      found = await compareGenerations(
        ...([project, generations, folds, this.#onBatch, signal, align] as const),
      )
      for (const [i, { projection, generation }] of generations.entries()) {
        const differences = found[i]
        if (differences) await noteDrift(owner, projection.name, generation, differences)
      }
    }
    await replaceLive(owner, generations, folds, this.#onBatch, signal)
    return generations.map(({ projection, generation }, i) => ({
      projection: projection.name,
      generation,
      differences: found[i] ?? null,
    }))
  }

  #startFold(shard: number, group: ProjectionGroup, generations: readonly Generation[]): ShardFold {
    const projections = generations.map(({ projection }) => projection)
    const checkpoints = generations.map(({ projection, generation }) => ({
      projection: projection.name,
      generation,
      position: -1,
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

  /** A heartbeat that fails is made up for by the next one. */
  #sendHeartbeat(): void {
    const progress = {
      state: this.#state,
      eventsFolded: this.#folded,
      eventsTotal: Math.max(this.#total, this.#folded),
    }
    const rebuilds = this.generations.map(({ projection: { name }, generation }) => ({
      projection: name,
      generation,
    }))
    noteProgress(this.options.owner, rebuilds, progress).catch(() => {})
  }
}

/**
 * True for snapshots of another fold version: no positions are given for them, so they are made
 * where they are due.
 */
const isSnapshotsOfOtherCode = ({ projection, isComparable }: Generation) =>
  projection === snapshots && !isComparable

/**
 * Waits until no transaction can read the replaced generations, and drops them. If that takes too
 * long, the next start does it.
 */
async function sweepUntilClean(owner: Sql): Promise<void> {
  const until = performance.now() + SWEEP_MS
  while (!(await sweepGenerations(owner)) && performance.now() < until) {
    await Bun.sleep(SWEEP_AGAIN_MS)
  }
}
