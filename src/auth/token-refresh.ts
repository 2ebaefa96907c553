import type { Logger } from 'pino'
import { Poll } from '../platform/async/poll.ts'
import type { Intervals } from '../platform/intervals.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import type { Tokens } from './tokens.ts'

/**
 * Keeps the tokens in step with the database. While it is unavailable, they stay as they are, and
 * no one can revoke one.
 */
export function keepFresh(
  tokens: Tokens,
  sql: Sql,
  { pollIntervalMs }: Intervals['tokens'],
  logger: Logger,
): Poll {
  const refresh = async () => {
    try {
      await tokens.refresh(sql)
    } catch (error) {
      if (!isUnavailable(error)) logger.error({ err: error }, 'tokens: refresh failed')
    }
  }
  return new Poll(refresh, pollIntervalMs).start()
}
