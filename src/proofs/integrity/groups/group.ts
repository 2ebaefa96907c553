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

/** Where the rows of each projection of a group are; absent for one without a live checkpoint. */
export type Targets = ReadonlyMap<string, Target>

/**
 * The projections of one group, whose checkpoints move together, and what they must hold:
 * recomputed from the log with the verifier's fold.
 */
export interface ProjectionGroup {
  readonly projections: readonly CheckedProjection[]
  add(event: Event | null, position: number, recordedAt: string): void
  /** The next position after `after` at which the walk has to stop for `compareSettled`. */
  nextStop?(sql: Sql | Transaction, targets: Targets, after: number): Promise<number | null>
  /**
   * Compares rows that no later event can change, once everything up to `position` is folded, and
   * forgets them: so memory does not grow with the log.
   */
  compareSettled?(sql: Transaction, targets: Targets, position: number): Promise<Settled[]>
  /** Compares the rest of a projection, whose checkpoint is at `position`. */
  compare(
    sql: Transaction,
    projection: string,
    target: Target,
    position: number,
  ): Promise<Problem[]>
}

/** Problems in the settled rows of one projection. */
export type Settled = { projection: string; problems: Problem[] }
