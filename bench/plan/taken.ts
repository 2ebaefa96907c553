import type { Demand } from './demand.ts'
import type { StorageNeeds } from './storage.ts'

/** Resources that a demand needs. */
export type Resources = StorageNeeds & {
  demand: Demand
  flushesPerSecond: number
  countsPerSecond: number
  shards: number
  /** Including spare ones. */
  instances: number
  flushesPerCommit: number
  /** Cores busy on average; divide by the utilisation for the cores to buy. */
  serviceCores: number
  databaseCores: number
  databaseNodes: number
  fsyncsPerSecond: number
  connections: number
  networkMbitPerSecond: number
  /** Rows of counters and usage written. */
  rowsPerSecond: number
  /** Cores of service and database that poll shards without news. */
  pollingCores: number
  /** Cores of the node that forwards appends to the others; 0 with a single node. */
  coordinatorCores: number
  /** Time that a catalog change locks every shard: a two-phase commit with several nodes. */
  catalogLockMs: number
  /** Database time of a summary read, which adds up the groups of all shards. */
  summaryMs: number
}
