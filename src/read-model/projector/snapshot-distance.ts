import { EVENT_COST } from '../projections/snapshot-size.ts'
import { MAX_EVENTS } from '../queries/as-of-counters.ts'

/**
 * Cost of folding, in entries (0.06 µs each): an event costs its entries plus 64. An as-of read
 * folds at most what lies between two snapshots (see SPACING for older ones). 200,000 is 12 ms:
 * 1,200 events of 100 entries, or 3,000 of one. Writing a snapshot costs about 2 µs per id of its
 * shard; at 64 entries per id this is a twentieth of the service's work for those flushes. MAX_COST
 * caps the distance, so that no read has to fold more than MAX_EVENTS, however many ids there are.
 */
const SNAPSHOT_COST = { cost: 200_000, costOfId: 64 }
const MAX_COST = (EVENT_COST * MAX_EVENTS) / 2

/** Returns what events cost to fold after which a snapshot of so many ids is followed by one. */
export const snapshotDistance = (ids: number): number =>
  Math.min(Math.max(SNAPSHOT_COST.cost, ids * SNAPSHOT_COST.costOfId), MAX_COST)
