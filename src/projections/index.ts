import { apiKeyCounters } from './api-key-counters.ts'
import { catalogRows } from './catalog-rows.ts'
import { keyCounters } from './key-counters.ts'
import type { Projection } from './projection.ts'
import { providerGroupCounters } from './provider-group-counters.ts'

/** Every projection, in the order in which a pass locks their checkpoints. */
export const PROJECTIONS: readonly Projection[] = [
  apiKeyCounters,
  catalogRows,
  keyCounters,
  providerGroupCounters,
]
