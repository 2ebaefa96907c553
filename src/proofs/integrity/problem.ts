/** The names of all checks, which docs/reference/integrity-checks.md explains. */
export const CHECKS = [
  'payload',
  'leaf',
  'tiles',
  'position',
  'time',
  'parked',
  'idempotency',
  'archive',
  'shards',
  'checkpoints',
  'owners',
  'refold',
  'snapshots',
  'rules',
  'tokens',
  'migrations',
  'verifications',
] as const
export type Check = (typeof CHECKS)[number]

/** A problem that one check found at one place. */
export type Problem = {
  check: Check
  /** `0/41` (an event), or a table and the key of a row: `api_key_counters 0/7`. */
  at: string
  expected: string
  found: string
}

/** The most problems that one statement returns, and that a report lists. */
export const MAX_PROBLEMS = 1_000

/** The first problems and the number of all, so that the report of a ruined log stays small. */
export class Problems {
  readonly first: Problem[] = []
  count = 0

  add(problems: Problem[]): void {
    this.count += problems.length
    this.first.push(...problems.slice(0, MAX_PROBLEMS - this.first.length))
  }
}
