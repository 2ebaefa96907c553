import type { Event } from '../../../events/event.ts'
import type { Sql, Transaction } from '../../../platform/postgres/pool.ts'
import type { Problem } from '../problem.ts'
import type { ProjectionTable, Target } from '../tables.ts'

/** A projection, the version of its fold, and its tables. */
export type CheckedProjection = {
  projection: string
  version: number
  tables: readonly Pick<ProjectionTable, 'name' | 'key' | 'isSharded'>[]
}

/** The live rows of each projection of a group, except one without a live checkpoint. */
export type Targets = ReadonlyMap<string, Target>

/**
 * The projections of one group, whose checkpoints move together, and the rows that they must have,
 * recomputed from the log with the verifier's fold.
 */
export interface ProjectionGroup {
  readonly projections: readonly CheckedProjection[]
  add(event: Event | null, position: number, recordedAt: string): void
  /** Returns the next position after `after` at which the walk must stop for `compareSettled`. */
  nextStop?(sql: Sql | Transaction, targets: Targets, after: number): Promise<number | null>
  /**
   * Compares the rows that no event after `position` can change, and forgets them, so that memory
   * does not grow with the log. Everything through `position` must be folded, and no target's
   * checkpoint may be before it.
   */
  compareSettled?(sql: Transaction, targets: Targets, position: number): Promise<Settled[]>
  /** Compares the remaining rows of a projection, whose checkpoint is at `position`. */
  compare(
    sql: Transaction,
    projection: string,
    target: Target,
    position: number,
  ): Promise<Problem[]>
}

/** Problems in the settled rows of one projection. */
export type Settled = { projection: string; problems: Problem[] }
