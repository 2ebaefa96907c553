import { ACCOUNTS } from '../../events/accounts.ts'
import type { Positions } from '../../events/positions.ts'
import type { Sql, Transaction } from '../../platform/postgres/pool.ts'
import type { AsOfQueries } from './as-of.ts'
import { type Counted, plus } from './contribution.ts'
import { type Contribution, type Contributions, readContributions } from './contributions.ts'
import type { Source } from './live-source.ts'
import { countedRows, type Scope } from './scope.ts'

/** A flush that is part of a total, and the total with it. */
export type Step = Contribution & { running: Counted }

/** Where it is read: the log, and the past. */
type ExplainSource = { sql: Sql | Transaction; history: AsOfQueries }

/** A part of how a total came to be, in the order of time. */
export type Explanation = {
  /** What had been counted before the first step. */
  before: Counted
  steps: Step[]
  /** Where to go on; null where nothing more adds to the total. */
  next: Positions | null
}

/**
 * Tells which flushes behind `after` and up to `to` make up what `scope` has counted, at most
 * `limit` of them. Fewer, or none, don't say that there are no more: `next` does.
 */
export async function explain(
  from: ExplainSource,
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
  const { merged, positions } = mergeByTime(read, after, through, limit)
  let running = before
  const steps = merged.map((contribution) => {
    running = plus(running, contribution.counted)
    return { ...contribution, running }
  })
  const isDone = positions.every((position, shard) => position >= through[shard]!)
  return { before, steps, next: isDone ? null : positions }
}

/** What `scope` had counted after these events. */
export async function readCounted(
  { sql, history }: ExplainSource,
  scope: Scope,
  positions: Positions,
): Promise<Counted> {
  const { sums } = ACCOUNTS[scope.kind]
  return history.read(sql, positions, scope, async (transaction, source) => {
    const [row] = await sumCounted(transaction, source, scope)
    return sums.map((name) => BigInt(row![name]!))
  })
}

function sumCounted(transaction: Transaction, source: Source, scope: Scope) {
  const sums = ACCOUNTS[scope.kind].sums
    .map((name) => {
      const column = transaction(name)
      return transaction`coalesce(sum(t.${column}), 0)::text as ${column}`
    })
    .reduce((all, sum) => transaction`${all}, ${sum}`)
  return transaction<Record<string, string>[]>`
    select ${sums} from (${countedRows(transaction, source, scope)}) t`
}

/**
 * The oldest of several shards' contributions, and how far each shard is told then. Stops where a
 * shard's run out that was not looked through: what follows there may be older than the others'.
 */
function mergeByTime(
  read: readonly Contributions[],
  after: Positions,
  through: Positions,
  limit: number,
): { merged: Contribution[]; positions: number[] } {
  const merged: Contribution[] = []
  const next = read.map(() => 0)
  const isOut = (shard: number) => next[shard]! >= read[shard]!.found.length
  while (merged.length < limit) {
    if (read.some(({ readThrough }, shard) => isOut(shard) && readThrough < through[shard]!)) break
    const oldest = read
      .flatMap(({ found }, shard) => found[next[shard]!] ?? [])
      .reduce<Contribution | null>(
        (old, one) => (old === null || one.recordedAt < old.recordedAt ? one : old),
        null,
      )
    if (oldest === null) break
    merged.push(oldest)
    next[oldest.shard]!++
  }
  const positions = read.map(({ found, readThrough }, shard) => {
    if (isOut(shard)) return readThrough
    return found[next[shard]! - 1]?.position ?? after[shard]!
  })
  return { merged, positions }
}
