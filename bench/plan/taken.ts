import type { Demand } from './demand.ts'
import type { Kept } from './kept.ts'

/** What a demand takes. */
export type Taken = Kept & {
  demand: Demand
  flushesPerSecond: number
  countsPerSecond: number
  shards: number
  /** Those to spare included. */
  instances: number
  flushesPerCommit: number
  /** Busy on average; what is bought is more, by how busy it may be. */
  serviceCores: number
  databaseCores: number
  databaseNodes: number
  fsyncsPerSecond: number
  connections: number
  networkMbitPerSecond: number
  /** Rows of counters and usage that are written. */
  rowsPerSecond: number
  /** Cores, of service and database, that look at shards which have nothing new. */
  lookingCores: number
  /** Of the node that passes appends on to the others; none where there is one node. */
  coordinatorCores: number
  /** For which a catalog change holds every shard: a commit in two phases where there are nodes. */
  catalogLockMs: number
  /** Of the database, for a read of the summary, which adds up the groups of all shards. */
  summaryMs: number
}
