import type { Logger } from 'pino'
import type { Intervals } from '../platform/intervals.ts'
import { isUnavailable } from '../platform/postgres/errors.ts'
import type { Sql } from '../platform/postgres/pool.ts'
import type { Tokens } from './tokens.ts'

/**
 * Keeps the tokens as they stand in the database. While that is away they stay as they are: nobody
 * can revoke one then.
 */
export function keepFresh(
  tokens: Tokens,
  sql: Sql,
  { pollIntervalMs }: Intervals['tokens'],
  logger: Logger,
): { stop(): void } {
  let stopped = false
  let timer: ReturnType<typeof setTimeout>
  const rest = () => {
    if (!stopped) timer = setTimeout(run, pollIntervalMs)
  }
  const run = async () => {
    try {
      await tokens.refresh(sql)
    } catch (error) {
      if (!isUnavailable(error)) logger.error({ err: error }, 'tokens: refresh failed')
    }
    rest()
  }
  rest()
  return {
    stop: () => {
      stopped = true
      clearTimeout(timer)
    },
  }
}
