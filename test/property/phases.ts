import fc from 'fast-check'
import type { CatalogPut } from './naive-catalog.ts'
import { catalog, goodFlush } from './steps.ts'

/** One POST of many that are on their way at once. */
export type Posting = {
  flush: { kind: 'api-keys' | 'keys'; entries: (object | null)[] }
  /** Which of the two instances gets it. */
  to: 0 | 1
  /** How the same is posted again, if it has an idempotency key; null has none. */
  retries: { at: 'once' | 'answered'; to: 'same' | 'other' }[] | null
}

/** A change of the catalog while nothing else happens, then many flushes at once. */
export type Phase = { catalog: CatalogPut; by: 0 | 1; postings: Posting[] }

const instance = fc.constantFrom<0 | 1>(0, 1)

const posting: fc.Arbitrary<Posting> = fc.record({
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

/** Phases in their order; between two of them everything is at rest. */
export const phases: fc.Arbitrary<Phase[]> = fc.array(
  fc.record({
    catalog,
    by: instance,
    postings: fc.array(posting, { minLength: 10, maxLength: 60, size: 'max' }),
  }),
  { minLength: 1, maxLength: 4, size: 'max' },
)
