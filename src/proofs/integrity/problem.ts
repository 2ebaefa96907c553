/** The checks, as docs/reference/integrity-checks.md explains them. */
export const CHECKS = [
  'payload',
  'leaf',
  'tiles',
  'position',
  'time',
  'parked',
  'idempotency',
  'shards',
  'checkpoints',
  'owners',
  'refold',
  'snapshots',
  'tokens',
  'migrations',
  'verifications',
] as const
export type Check = (typeof CHECKS)[number]

/** What one check found wrong at one place. */
export type Problem = {
  check: Check
  /** `0/41` (an event), or a table and the key of a row: `api_key_counters 0/7`. */
  at: string
  expected: string
  found: string
}

/** Problems that one statement may give: a page of them says enough. */
export const MAX_PROBLEMS = 1_000

/** The first problems and the number of all, so that a log that is all wrong fits too. */
export class Problems {
  readonly first: Problem[] = []
  count = 0

  add(problems: Problem[]): void {
    this.count += problems.length
    this.first.push(...problems.slice(0, MAX_PROBLEMS - this.first.length))
  }
}
