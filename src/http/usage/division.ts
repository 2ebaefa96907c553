import type { Division } from '../../read-model/queries/usage-by.ts'
import { Problem } from '../problem.ts'

/** Reads one or two names of dimensions, separated by a comma. Throws problem 400. */
export function readDivision(text: string, limits: Pick<Division, 'values' | 'items'>): Division {
  const by = text.split(',')
  if (by.length > 2 || by[0] === by[1]) {
    throw new Problem(400, 'invalid query', 'Name one dimension, or two different ones.')
  }
  return { by, ...limits }
}
