import { api, type Failure, unwrap } from '../api.ts'
import type { AsOf } from '../as-of.ts'
import { useRead } from '../use-read.ts'

/**
 * Returns the time (ms) at which the usual ranges of a chart end: now, or the as-of time; undefined
 * while it is unknown. The service knows when a position was recorded: its default range ends with
 * that hour.
 */
export function useEnd(asOf: AsOf): { end: number | undefined; failure: Failure | null } {
  const { as_of, as_of_position } = asOf
  const { value, failure } = useRead(
    `end of ${as_of_position}`,
    async () => {
      if (as_of_position === undefined) return undefined
      const query = { as_of_position, group_id: '0' }
      return Date.parse((await unwrap(api.admin.usage.get({ query }))).value.to!) - 1
    },
    { everyMs: null },
  )
  if (as_of_position !== undefined) return { end: value, failure }
  const then = as_of === undefined ? Number.NaN : Date.parse(as_of)
  // A new minute may begin a new bucket. The service rejects text that is not a time.
  const now = Math.floor(Date.now() / 60_000) * 60_000
  return { end: Number.isNaN(then) ? now : then, failure: null }
}
