export type FailoverOptions = {
  /** Whether the standby has what is committed, or lacks the last commits. */
  synchronous: boolean
  /** Whether the service is started anew on the promoted server. */
  restarts: boolean
  /** Whether the old primary takes its place back afterwards. */
  returns: boolean
  /** That are acknowledged before and after each step. */
  flushes: number
}

/** What came of it; all of `violations` is wrong. */
export type FailoverReport = {
  violations: string[]
  /** Acknowledged flushes, and those among them from before the promotion that are gone. */
  acked: number
  lost: number
  /** Milliseconds from the promotion to the first acknowledged flush. */
  outageMs: number
  /** Messages of the service's log from warnings up, each once. */
  logged: string[]
  /** Why a start was refused; null where none was. */
  refused: string | null
}
