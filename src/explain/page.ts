import { mergeByTime } from '../events/merge-by-time.ts'
import type { Positions } from '../events/positions.ts'
import { type Counted, plus } from '../read-model/queries/contribution.ts'
import { type LogAndHistory, readCounted } from '../read-model/queries/counted.ts'
import type { Scope } from '../read-model/queries/scope.ts'
import { type Contribution, type Contributions, readContributions } from './contributions.ts'

/** An event that contributes to a total, and the running total including it. */
export type Step = Contribution & { running: Counted }

/** One page of the events that make up a total, in order of time. */
export type Explanation = {
  /** The total before the first step. */
  before: Counted
  steps: Step[]
  /** The positions to continue after; null if the explanation is complete. */
  next: Positions | null
}

/**
 * Returns at most `limit` of the events after `after` through `through` that make up the total of
 * `scope`. A page may be short or empty without being the last: only `next` being null ends the
 * explanation.
 */
export async function explain(
  from: LogAndHistory,
  scope: Scope,
  { after, through }: { after: Positions; through: Positions },
  limit: number,
): Promise<Explanation> {
  const before = await readCounted(from, scope, after)
  const read = await Promise.all(
    after.map((position, shard) =>
      readContributions(from, scope, { shard, after: position, through: through[shard]! }, limit),
    ),
  )
  const merged = mergeByTime(
    read.map(({ found, readThrough }, shard) => ({
      items: found,
      ends: readThrough >= through[shard]!,
    })),
    limit,
  )
  const positions = positionsOf(read, merged, after)
  let running = before
  const steps = merged.map((contribution) => {
    running = plus(running, contribution.counted)
    return { ...contribution, running }
  })
  const isDone = positions.every((position, shard) => position >= through[shard]!)
  return { before, steps, next: isDone ? null : positions }
}

/** The position reached in each shard, where these contributions were taken of what was read. */
const positionsOf = (
  read: readonly Contributions[],
  merged: readonly Contribution[],
  after: Positions,
) =>
  read.map(({ found, readThrough }, shard) => {
    const taken = merged.filter((one) => one.shard === shard)
    return taken.length === found.length ? readThrough : (taken.at(-1)?.position ?? after[shard]!)
  })
