import fc from 'fast-check'
import type { CatalogPut } from './naive-catalog.ts'
import { adoption, catalog, goodFlush, type PlannedFlush } from './steps.ts'

/** One of many concurrent POSTs. */
export type PlannedPost = {
  flush: PlannedFlush
  /** The instance that gets it. */
  to: 0 | 1
  /** Its retries, if it has an idempotency key; null if it has none. */
  retries: { at: 'once' | 'answered'; to: 'same' | 'other' }[] | null
}

/**
 * A catalog change while nothing else happens, then many concurrent flushes, and then an adoption
 * on both instances at once.
 */
export type Phase = {
  catalog: CatalogPut
  by: 0 | 1
  posts: PlannedPost[]
  adoption: CatalogPut
}

const instance = fc.constantFrom<0 | 1>(0, 1)

const plannedPost: fc.Arbitrary<PlannedPost> = fc.record({
  flush: goodFlush,
  to: instance,
  retries: fc.option(
    fc.array(
      fc.record({
        at: fc.constantFrom('once', 'answered'),
        to: fc.constantFrom('same', 'other', 'other'),
      }),
      { maxLength: 3 },
    ),
    { freq: 2 },
  ),
})

/** Phases in order; nothing is in flight between two of them. */
export const phases: fc.Arbitrary<Phase[]> = fc.array(
  fc.record({
    catalog,
    by: instance,
    posts: fc.array(plannedPost, { minLength: 10, maxLength: 60, size: 'max' }),
    adoption,
  }),
  { minLength: 1, maxLength: 4, size: 'max' },
)
