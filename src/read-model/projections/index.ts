import { bookkeeping } from './bookkeeping.ts'
import { catalogRows } from './catalog-rows.ts'
import { apiKeyCounters, keyCounters, providerGroupCounters } from './counters.ts'
import type { Projection } from './projection.ts'
import { snapshots } from './snapshots.ts'
import { usage } from './usage.ts'

/** The projections that current admin reads need; every such read waits for all of them. */
export const CURRENT: readonly Projection[] = [
  apiKeyCounters,
  bookkeeping,
  catalogRows,
  keyCounters,
  providerGroupCounters,
]

/** The current projections that counters and the catalog are read from. */
export const COUNTED = CURRENT.filter((projection) => projection !== bookkeeping)

/** Every projection, in the order in which a batch locks their checkpoints. */
export const PROJECTIONS: readonly Projection[] = [...CURRENT, snapshots, usage]
