import type { Refold } from '../refold.ts'
import { apiKeyCounters } from './api-key-counters.ts'
import { catalog } from './catalog.ts'
import { keyCounters } from './key-counters.ts'
import { providerGroupCounters } from './provider-group-counters.ts'
import { snapshots } from './snapshots.ts'
import { usage } from './usage.ts'

/** Every projection, folded a second time. */
export const REFOLDS: readonly Refold[] = [
  apiKeyCounters,
  catalog,
  keyCounters,
  providerGroupCounters,
  snapshots,
  usage,
]
