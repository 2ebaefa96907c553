/** A server to stop: our child, or an orphan of a killed service. */
export type Stoppable = {
  signal(name: NodeJS.Signals): void
  isGone(): Promise<boolean>
  /** How long (ms) a fast shutdown may take before an immediate one follows. */
  fastMs: number
}

// How long (ms) an immediate shutdown may take. It writes nothing, so only a stuck disk needs long.
const IMMEDIATE_MS = 5_000
const POLL_INTERVAL_MS = 10

/**
 * Stops a server by a fast shutdown (SIGINT: open transactions roll back, everything is flushed to
 * disk). If that hangs, uses an immediate shutdown (SIGQUIT), and finally SIGKILL. After those two,
 * the next start recovers from the log.
 */
export async function stopProcess(server: Stoppable): Promise<void> {
  const steps: [NodeJS.Signals, number][] = [
    ['SIGINT', server.fastMs],
    ['SIGQUIT', IMMEDIATE_MS],
    ['SIGKILL', IMMEDIATE_MS],
  ]
  for (const [name, patienceMs] of steps) {
    if (await server.isGone()) return
    server.signal(name)
    const deadline = performance.now() + patienceMs
    while (performance.now() < deadline) {
      if (await server.isGone()) return
      await Bun.sleep(POLL_INTERVAL_MS)
    }
  }
}
