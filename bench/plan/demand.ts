/** What is asked for, and what is assumed beside what was measured. */
export type Demand = {
  dps: number
  intervalSeconds: number
  keys: number
  retentionDays: number
  /** API keys that are in use. */
  keyCount: number
}

/**
 * None of these is measured, and none is anybody's price: they are there to be replaced by one's
 * own.
 */
export type Assumptions = {
  /** How busy anything may be on average: the rest is for bursts and what is being caught up. */
  utilisation: number
  /** Instances beside those that the load takes. */
  spare: number
  /** Of one database node. */
  nodeCores: number
  nodeDiskMbPerSecond: number
  nodeConnections: number
  networkMbitPerSecond: number
  /** Of an append's fixed cost, what a coordinator spends on passing it on to a worker. */
  coordinatorShare: number
  /** Between two database nodes, there and back. */
  roundTripMs: number
  /** Reads of the summary a second, all clients together. */
  readsPerSecond: number
  price: { coreHour: number; diskGbMonth: number; archiveGbMonth: number; networkGb: number }
}

export const ASSUMED: Assumptions = {
  utilisation: 0.5,
  spare: 1,
  nodeCores: 16,
  nodeDiskMbPerSecond: 500,
  nodeConnections: 500,
  networkMbitPerSecond: 10_000,
  coordinatorShare: 0.5,
  roundTripMs: 0.5,
  readsPerSecond: 10,
  price: { coreHour: 0.04, diskGbMonth: 0.1, archiveGbMonth: 0.02, networkGb: 0.01 },
}

/** Flushes and counts a second. */
export const flushesOf = ({ dps, intervalSeconds }: Demand) => dps / intervalSeconds
