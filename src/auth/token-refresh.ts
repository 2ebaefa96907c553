import type { Logger } from 'pino'
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
): { stop(): void } {
  let stopped = false
  let timer: ReturnType<typeof setTimeout>
  const schedule = () => {
    if (!stopped) timer = setTimeout(run, pollIntervalMs)
  }
  const run = async () => {
    try {
      await tokens.refresh(sql)
    } catch (error) {
      if (!isUnavailable(error)) logger.error({ err: error }, 'tokens: refresh failed')
    }
    schedule()
  }
  schedule()
  return {
    stop: () => {
      stopped = true
      clearTimeout(timer)
    },
  }
}
