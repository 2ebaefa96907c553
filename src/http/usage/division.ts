import type { Division } from '../../read-model/queries/usage-by.ts'
import { Problem } from '../problem.ts'

/** The columns of usage by the names that they have in answers. */
const COLUMNS: Record<string, string> = {
  total_requests: 'requests',
  request_count: 'requests',
  success_requests: 'successes',
  failure_requests: 'failures',
  used_tokens: 'tokens',
  quota_used: 'quota_used',
}

/** What `largest_by` accepts: a count by its name in answers, or a measure. */
export const LARGEST_BY = `^(?:${Object.keys(COLUMNS).join('|')}|measures\\.[a-z][a-z0-9_]{0,63})$`

/**
 * Reads one or two names of dimensions, separated by a comma, and by what their values are ordered.
 * Throws problem 400.
 */
export function readDivision(
  text: string,
  largestBy: string | undefined,
  limits: Pick<Division, 'values' | 'items'>,
): Division {
  const by = text.split(',')
  if (by.length > 2 || by[0] === by[1]) {
    throw new Problem(400, 'invalid query', 'Name one dimension, or two different ones.')
  }
  const [, measure] = largestBy?.split('.') ?? []
  const column = COLUMNS[largestBy ?? 'total_requests']!
  return { by, ...limits, largestBy: measure === undefined ? { column } : { measure } }
}
