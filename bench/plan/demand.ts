/** The demand that a plan is for. */
export type Demand = {
  dps: number
  intervalSeconds: number
  keys: number
  retentionDays: number
  /** API keys that are in use. */
  keyCount: number
}

/**
 * Assumptions of a plan. None of them is measured, and the prices are no offer: set your own.
 */
export type Assumptions = {
  /** Maximum mean utilisation of anything; the rest is for bursts and for catching up. */
  utilisation: number
  /** Instances in addition to those that the load needs. */
  spare: number
  /** Sizes of one database node. */
  nodeCores: number
  nodeDiskMbPerSecond: number
  nodeConnections: number
  networkMbitPerSecond: number
  /** Share of an append's fixed cost that a coordinator spends to forward it to a worker. */
  coordinatorShare: number
  /** Round trip between two database nodes. */
  roundTripMs: number
  /** Reads of the summary per second by all clients. */
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

/** Flushes per second of a demand. */
export const flushesOf = ({ dps, intervalSeconds }: Demand) => dps / intervalSeconds
