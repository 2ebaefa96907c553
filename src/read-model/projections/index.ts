import { catalogRows } from './catalog-rows.ts'
import { apiKeyCounters, keyCounters, providerGroupCounters } from './counters.ts'
import type { Projection } from './projection.ts'
import { snapshots } from './snapshots.ts'
import { usage } from './usage.ts'

/** What the admin pages show now; every read of them waits for these. */
export const CURRENT: readonly Projection[] = [
  apiKeyCounters,
  catalogRows,
  keyCounters,
  providerGroupCounters,
]

/** Every projection, in the order in which a pass locks their checkpoints. */
export const PROJECTIONS: readonly Projection[] = [...CURRENT, snapshots, usage]
