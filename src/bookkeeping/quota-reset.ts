import { formatPositions, type Positions } from '../events/positions.ts'
import type { Reversal } from '../events/types/event-reversed.ts'
import type { QuotaReset } from '../events/types/quota-reset.ts'
import type { Sql, Transaction } from '../platform/postgres/pool.ts'
import { toMicroseconds } from '../platform/postgres/timestamp.ts'
import type { AsOfQueries } from '../read-model/queries/as-of.ts'
import { readCounted } from '../read-model/queries/counted.ts'
import { liveGeneration } from '../read-model/queries/live-source.ts'
import { sharesOf } from './posted-amounts.ts'

/** A moment, and the positions of all events recorded at or before it: none will follow. */
export type Cut = { at: string; through: Positions }

/**
 * Cuts the log now, or at the time of its newest event, if a wrong clock has recorded that in the
 * future: otherwise acts of that time could not be in a cut before the clock reaches it.
 */
export async function cutLog(sql: Sql, history: AsOfQueries): Promise<Cut> {
  const [row] = await sql<{ at: string }[]>`
    select ${sql.unsafe(toMicroseconds('greatest(clock_timestamp(), max(n.recorded_at))'))} as at
    from (
      select (
        select e.recorded_at from events e where e.shard = s.shard order by e.position desc limit 1
      ) as recorded_at
      from shards s
    ) n`
  const { at } = row!
  return { at, through: await history.positionsThrough(at) }
}

/** Returns what a reset at this cut takes away from a token key. */
export async function makeReset(
  transaction: Transaction,
  history: AsOfQueries,
  { at, through }: Cut,
  { tokenHash, reason }: { tokenHash: string; reason: string },
): Promise<QuotaReset> {
  const scope = { kind: 'key', account: tokenHash } as const
  const [, , quotaUsed = 0n] = await readCounted({ sql: transaction, history }, scope, through)
  const shares = [...sharesOf([quotaUsed])].flat()
  const zeros = shares.map(() => 0)
  return {
    ...{ at, through: formatPositions(through), reason },
    keys: {
      hashes: shares.map(() => tokenHash),
      ...{ requests: zeros, tokens: zeros, quota_used: shares },
    },
  }
}

/**
 * Returns the reversal of an event that was recorded at `recordedAt`, without the quota of keys
 * whose quotas were reset since: the resets have taken that away already.
 */
export async function leaveOutReset(
  transaction: Transaction,
  reversal: Reversal,
  recordedAt: string,
): Promise<Reversal> {
  const { keys } = reversal
  if (keys === undefined) return reversal
  const rows = await transaction<{ token_hash: string }[]>`
    select distinct q.token_hash
    from quota_resets q
    where q.generation = ${liveGeneration(transaction, 'bookkeeping')}
      and q.reset_at >= ${recordedAt}::timestamptz`
  if (rows.length === 0) return reversal
  const reset = new Set(rows.map(({ token_hash }) => token_hash))
  const quota_used = keys.quota_used.map((quota, i) => (reset.has(keys.hashes[i]!) ? 0 : quota))
  return { ...reversal, keys: { ...keys, quota_used } }
}
