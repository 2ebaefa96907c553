import type { Logger } from 'pino'
import { Poll } from '../platform/async/poll.ts'
import type { Intervals } from '../platform/intervals.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import { GRAINS, type Grain } from '../read-model/projections/rolled-up.ts'
import { forgetUnknown } from './forget-unknown.ts'
import { advance, moveUsage } from './roll-up.ts'

/**
 * For how many days usage is kept by quarter hours (`day`), and for how many months it is then kept
 * by days; null: forever.
 */
export type KeptUnits = Record<Grain, number | null>

export type RollUpOptions = Intervals['rollups'] & {
  sql: Sql
  shards: number
  kept: KeptUnits
  /** True if this instance folds the shard. */
  owns: (shard: number) => boolean
  /** Returns the position through which the usage of a shard is attested; null if it is not. */
  readAttested: (shard: number) => Promise<number | null>
  logger: Logger
}

/**
 * Keeps old usage by days of UTC, and older usage by months, for as long as the service runs, and
 * what is unknown no longer than quarter hours. Only what is attested is moved: attestations cover
 * usage by quarter hours.
 */
export function keepRolledUp(options: RollUpOptions): Poll {
  const { shards, owns, pollIntervalMs, logger } = options
  const poll: Poll = new Poll(async () => {
    try {
      for (let shard = 0; shard < shards && !poll.isStopped; shard++) {
        if (owns(shard)) await rollUp(options, shard, () => poll.isStopped)
      }
      if (owns(0)) await forgetUnknown(options.sql, () => poll.isStopped)
    } catch (error) {
      if (!isUnavailable(error)) logger.error({ err: error }, 'rollups: could not move usage')
    }
  }, pollIntervalMs)
  return poll.start()
}

/** Moves what is due in a shard. Any number of processes may do so at once. */
export async function rollUp(
  { sql, kept, readAttested }: Pick<RollUpOptions, 'sql' | 'kept' | 'readAttested'>,
  shard: number,
  isStopped: () => boolean = () => false,
): Promise<void> {
  const [live] = await sql<{ generation: number }[]>`
    select p.generation from projections p where p.projection = 'usage'`
  const rows = { shard, generation: live!.generation }
  const attested = await readAttested(shard)
  for (const grain of GRAINS) {
    const units = kept[grain]
    if (units !== null && attested !== null && attested >= 0) {
      await advance(sql, rows, attested, grain, units)
    }
    // Days are complete before they are moved on.
    if (!(await moveUsage(sql, rows, grain, { isStopped }))) return
  }
}
