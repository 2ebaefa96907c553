import type { Logger } from 'pino'
import { Poll } from '../platform/async/poll.ts'
import type { Intervals } from '../platform/intervals.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { advance, moveUsage } from './roll-up.ts'

export type RollUpOptions = Intervals['rollups'] & {
  sql: Sql
  shards: number
  /** For how many days usage is kept by quarter hours. */
  days: number
  /** True if this instance folds the shard. */
  owns: (shard: number) => boolean
  /** Returns the position through which the usage of a shard is attested; null if it is not. */
  readAttested: (shard: number) => Promise<number | null>
  logger: Logger
}

/**
 * Keeps usage that is older than some days by days of UTC, for as long as the service runs. Only
 * what is attested is moved: attestations cover usage by quarter hours.
 */
export function keepRolledUp(options: RollUpOptions): Poll {
  const { shards, owns, pollIntervalMs, logger } = options
  const poll: Poll = new Poll(async () => {
    try {
      for (let shard = 0; shard < shards && !poll.isStopped; shard++) {
        if (owns(shard)) await rollUp(options, shard, () => poll.isStopped)
      }
    } catch (error) {
      if (!isUnavailable(error)) logger.error({ err: error }, 'rollups: could not move usage')
    }
  }, pollIntervalMs)
  return poll.start()
}

/** Moves what is due in a shard. Any number of processes may do so at once. */
export async function rollUp(
  { sql, days, readAttested }: Pick<RollUpOptions, 'sql' | 'days' | 'readAttested'>,
  shard: number,
  isStopped: () => boolean = () => false,
): Promise<void> {
  const [live] = await sql<{ generation: number }[]>`
    select p.generation from projections p where p.projection = 'usage'`
  const rows = { shard, generation: live!.generation }
  const attested = await readAttested(shard)
  if (attested !== null && attested >= 0) await advance(sql, rows, attested, days)
  await moveUsage(sql, rows, { isStopped })
}
