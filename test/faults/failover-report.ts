export type FailoverOptions = {
  /** True if the standby has every commit, false if it lacks the last ones. */
  synchronous: boolean
  /** True to restart the service on the promoted server. */
  restarts: boolean
  /** True if the old primary takes over again afterwards. */
  returns: boolean
  /** The number of flushes acknowledged before and after each step. */
  flushes: number
}

/** The result of a failover. Each of `violations` is a failure. */
export type FailoverReport = {
  violations: string[]
  /** Acknowledged flushes, and how many of those from before the promotion are missing. */
  acked: number
  lost: number
  /** Milliseconds from the promotion to the first acknowledged flush. */
  outageMs: number
  /** Distinct messages of the service's log, from level warn up. */
  logged: string[]
  /** The message of a refused start, or null if none was refused. */
  refused: string | null
}
